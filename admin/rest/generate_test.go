package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
)

// object is an object of the OpenAPI document.
type object = map[string]any

// generator makes the OpenAPI document.
type generator struct {
	t       *testing.T
	words   map[string]string   // comments, by "api.Status" and "api.Status.State"
	values  map[string][]string // of the constants of types, by "api.Action"
	schemas object              // components, by name
}

// choices are the values of fields whose type is only string.
var choices = map[string][]string{
	"Status.State":        {api.Serving, api.Draining, api.Upgrading},
	"Status.Mode":         {"mt", "mp"},
	"Listener.Role":       {api.RoleHTTP, api.RoleHTTPS, api.RoleRedirect},
	"Loop.State":          {api.LoopServing, api.LoopStarting, api.LoopWaiting, api.LoopRetiring},
	"Backend.Admin":       {api.Enabled, api.Drained, api.Disabled},
	"Backend.Health":      {"unknown", "up", "down"},
	"Exchange.Kind":       {"fault", "slow", "trace"},
	"Exchange.End":        {"ok", "client", "lb", "backend"},
	"ExchangeTLS.Version": {"1.2", "1.3"},
	"Lost.Kind":           {"lost"},
	"LogLevel.Level":      {"debug", "info", "warn", "error"},
	"Certificate.Source":  {"file", "acme", "internal"},
}

// generate returns the OpenAPI document.
func generate(t *testing.T) []byte {
	t.Helper()
	g := &generator{t: t, words: map[string]string{}, values: map[string][]string{}, schemas: object{}}
	for _, dir := range []string{".", "../api", "../../config"} {
		g.readComments(dir)
	}
	paths := object{}
	for i := range Endpoints {
		e := &Endpoints[i]
		item, _ := paths[e.Path].(object)
		if item == nil {
			item = object{}
			paths[e.Path] = item
		}
		item[strings.ToLower(e.Method)] = g.operation(e)
	}
	refusal := object{"application/json": object{"schema": g.schema(reflect.TypeFor[Refusal]())}}
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "lb", "version": "1", "summary": "What an operator can ask of lb.",
			"description": "The same on the unix socket of commands and on the admin address. On the socket nothing is asked of the client: who may open it may do everything. Over TCP, endpoints with security need the token of [admin] token. Answers are JSON; a refusal has the field error, which says why and what to do.",
		},
		"servers": []object{{"url": "http://127.0.0.1:9900", "description": "[admin] address"}},
		"paths":   paths,
		"components": object{
			"schemas":         g.schemas,
			"responses":       object{"Refused": object{"description": "Refused, and why.", "content": refusal}},
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "description": "[admin] token; on the socket nothing"}},
		},
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// media returns the media type of the endpoint's answer, if it is no stream of lines.
func (e *Endpoint) media() string {
	if e.Media != "" {
		return e.Media
	}
	return "application/json"
}

// operation describes an endpoint.
func (g *generator) operation(e *Endpoint) object {
	id := strings.ToLower(e.Method)
	for _, word := range strings.FieldsFunc(e.Path, func(r rune) bool { return r == '/' || r == '.' }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	content := object{}
	if e.Answer != nil || e.Media != "" || len(e.Lines) == 0 {
		content[e.media()] = object{"schema": g.answer(e)}
	}
	if len(e.Lines) > 0 {
		var lines []any
		for _, l := range e.Lines {
			lines = append(lines, g.schema(reflect.TypeOf(l)))
		}
		content[ndjson] = object{"schema": object{"oneOf": lines, "description": "each line"}}
	}
	responses := object{"200": object{"description": "Done.", "content": content}}
	for _, code := range e.refusals() {
		if e.AnyHost { // their answers are text for people
			responses[strconv.Itoa(code)] = object{"description": "Not so, and why.", "content": content}
			continue
		}
		responses[strconv.Itoa(code)] = object{"$ref": "#/components/responses/Refused"}
	}
	op := object{"operationId": id, "summary": e.Summary, "responses": responses}
	if e.Token {
		op["security"] = []object{{"token": []string{}}}
	}
	if e.Body != nil {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": g.schema(reflect.TypeOf(e.Body))}}}
	}
	for _, p := range e.Query {
		schema := object{"type": p.Type}
		if p.Many {
			schema = object{"type": "array", "items": schema}
		}
		list, _ := op["parameters"].([]object)
		op["parameters"] = append(list, object{"name": p.Name, "in": "query", "description": p.Summary, "required": p.Required, "schema": schema})
	}
	return op
}

// answer describes the answer of an endpoint that is no stream of lines.
func (g *generator) answer(e *Endpoint) object {
	switch {
	case e.Answer != nil:
		return g.schema(reflect.TypeOf(e.Answer))
	case e.Media == "application/json": // the OpenAPI document
		part := object{"type": "object"}
		return object{"type": "object", "additionalProperties": false, "required": []string{"openapi", "info", "paths", "components"},
			"properties": object{"openapi": object{"type": "string"}, "info": part, "servers": object{"type": "array", "items": part}, "paths": part, "components": part}}
	}
	return object{"type": "string"}
}

// refusals returns the status codes of all refusals, in order.
func (e *Endpoint) refusals() []int {
	codes := map[int]bool{}
	for _, c := range e.Refused {
		codes[c] = true
	}
	codes[403], codes[421] = !e.AnyHost, !e.AnyHost
	codes[400] = !e.AnyHost && e.Path != "/"
	codes[401] = e.Token
	codes[413], codes[415] = e.Body != nil, e.Body != nil
	maps.DeleteFunc(codes, func(_ int, yes bool) bool { return !yes })
	return slices.Sorted(maps.Keys(codes))
}

// schema describes a type; structs with a name become components.
func (g *generator) schema(typ reflect.Type) object {
	if typ == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return g.schema(typ.Elem())
	case reflect.Struct:
		if typ.Name() == "" {
			return g.structure(typ)
		}
		if _, known := g.schemas[typ.Name()]; !known {
			g.schemas[typ.Name()] = object{} // it may refer to itself
			g.schemas[typ.Name()] = g.structure(typ)
		}
		return object{"$ref": "#/components/schemas/" + typ.Name()}
	case reflect.Slice:
		return object{"type": "array", "items": g.schema(typ.Elem())}
	case reflect.Array:
		return object{"type": "array", "items": g.schema(typ.Elem()), "minItems": typ.Len(), "maxItems": typ.Len()}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.schema(typ.Elem())}
	case reflect.String:
		if values := g.values[typ.String()]; values != nil {
			return object{"type": "string", "enum": values}
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return object{"type": "integer"}
	case reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	}
	g.t.Fatalf("no schema for %v", typ)
	return nil
}

// structure describes a struct.
func (g *generator) structure(typ reflect.Type) object {
	properties, required := object{}, []string{}
	g.fields(typ, properties, &required)
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if words := g.words[typ.String()]; words != "" {
		out["description"] = words
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// fields adds the fields of a struct, those of embedded ones included.
func (g *generator) fields(typ reflect.Type, properties object, required *[]string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			g.fields(f.Type, properties, required)
			continue
		case name == "" || name == "-":
			g.t.Errorf("%v.%s has no name in JSON", typ, f.Name)
			continue
		}
		schema := g.schema(f.Type)
		if values := choices[typ.Name()+"."+f.Name]; values != nil {
			schema["enum"] = values
		}
		if words := g.words[typ.String()+"."+f.Name]; words != "" {
			schema["description"] = words
		}
		properties[name] = schema
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}

// readComments reads the comments and the constants of a package.
func (g *generator) readComments(dir string) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			g.t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, d := range file.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				g.readDecl(file.Name.Name, d)
			}
		}
	}
}

func (g *generator) readDecl(pkg string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			name := pkg + "." + spec.Name.Name
			g.words[name] = oneLine(doc)
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, n := range f.Names {
						g.words[name+"."+n.Name] = oneLine(f.Doc) + oneLine(f.Comment)
					}
				}
			}
		case *ast.ValueSpec:
			typ, ok := spec.Type.(*ast.Ident)
			if !ok || d.Tok != token.CONST {
				continue
			}
			for _, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, _ := strconv.Unquote(lit.Value)
					name := fmt.Sprintf("%s.%s", pkg, typ.Name)
					g.values[name] = append(g.values[name], text)
				}
			}
		}
	}
}

// oneLine returns a comment as one line.
func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
