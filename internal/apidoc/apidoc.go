// Package apidoc holds requests and answers of tests against an OpenAPI document. It knows
// nothing of what the document describes.
package apidoc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Document is an OpenAPI document of version 3.1. kin-openapi has JSON Schema 2020-12 for
// that: types may be lists, keywords beside $ref count.
type Document struct{ doc *openapi3.T }

// Load reads a document and checks that it is one.
func Load(data []byte) (*Document, error) {
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, err
	}
	if !doc.IsOpenAPI31OrLater() {
		return nil, fmt.Errorf("version %s is not 3.1", doc.OpenAPI)
	}
	return &Document{doc}, doc.Validate(context.Background())
}

// Operations returns each method with its path, such as "GET /v1/status".
func (d *Document) Operations() (list []string) {
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			list = append(list, method+" "+path)
		}
	}
	return list
}

// Statuses returns the status codes that an operation may answer, or nil for one that is
// not in the document.
func (d *Document) Statuses(method, path string) (codes []string) {
	if item := d.doc.Paths.Value(path); item != nil && item.GetOperation(method) != nil {
		for code := range item.GetOperation(method).Responses.Map() {
			codes = append(codes, code)
		}
	}
	return codes
}

// Check returns an error if the answer to req, whose body was sent, is not what the document
// says, or if it is a good answer to a request that the document does not allow. A path or a
// method that is not in the document may be refused only.
func (d *Document) Check(req *http.Request, sent []byte, resp *http.Response, body []byte) error {
	item := d.doc.Paths.Value(req.URL.Path)
	if item == nil || item.GetOperation(req.Method) == nil {
		return d.checkRefusal(resp, body)
	}
	again := req.Clone(context.Background())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	in := &openapi3filter.RequestValidationInput{
		Request: again, Options: options,
		Route: &routers.Route{Spec: d.doc, Path: req.URL.Path, PathItem: item, Method: req.Method, Operation: item.GetOperation(req.Method)},
	}
	if resp.StatusCode == http.StatusOK {
		if err := openapi3filter.ValidateRequest(again.Context(), in); err != nil {
			return fmt.Errorf("the request is not in the document: %w", err)
		}
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch media {
	case "application/x-ndjson":
		return d.checkLines(in, body)
	case "text/event-stream", "text/html", "text/plain": // text of any form
		content := item.GetOperation(req.Method).Responses.Status(resp.StatusCode)
		if content == nil || content.Value.Content.Get(media) == nil {
			return fmt.Errorf("%d with %s is not in the document", resp.StatusCode, media)
		}
		return nil
	}
	return openapi3filter.ValidateResponse(again.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: options,
		Body: io.NopCloser(bytes.NewReader(body)),
	})
}

// checkRefusal checks the answer to a request that is not in the document.
func (d *Document) checkRefusal(resp *http.Response, body []byte) error {
	if resp.StatusCode < 400 {
		return fmt.Errorf("it is not in the document, and the answer is %d", resp.StatusCode)
	}
	return d.checkValue(d.doc.Components.Schemas["Refusal"].Value, body)
}

// checkLines checks each line of a stream. What follows the last end of a line is half a
// line.
func (d *Document) checkLines(in *openapi3filter.RequestValidationInput, body []byte) error {
	media := in.Route.Operation.Responses.Status(http.StatusOK).Value.Content.Get("application/x-ndjson")
	if media == nil {
		return fmt.Errorf("a stream is not in the document")
	}
	for line := range bytes.Lines(body) {
		if line, whole := bytes.CutSuffix(line, []byte("\n")); whole {
			if err := d.checkValue(media.Schema.Value, line); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		}
	}
	return nil
}

// checkValue checks one JSON value.
func (d *Document) checkValue(schema *openapi3.Schema, text []byte) error {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return fmt.Errorf("%.100q: %w", text, err)
	}
	return schema.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors())
}
