package config

import (
	"fmt"
	"slices"
	"strings"

	"lb/config/hints"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// Fields that no route may set, in lower case, because lb writes them itself.
var (
	hopNames     = []string{"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
	framingNames = []string{"content-length"}
	clientNames  = []string{"expect", "max-forwards"}
	forwardNames = []string{"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)

// checkSetField accepts the name of a field that may be set in either direction.
func checkSetField(name string) *value.Flaw {
	if f := value.CheckToken(name); f != nil {
		return f
	}
	switch low := strings.ToLower(name); {
	case slices.Contains(hopNames, low):
		return value.Wrong("belongs to one connection", "remove it; lb writes it where it is needed")
	case slices.Contains(framingNames, low):
		return value.Wrong("says how long a body is", "remove it; lb writes it itself")
	}
	return nil
}

func checkSetRequest(name string) *value.Flaw {
	low := strings.ToLower(name)
	switch {
	case low == "via":
		return value.Wrong("is written by lb", "use the key via")
	case slices.Contains(clientNames, low):
		return value.Wrong("is what the client asks of everyone on the way", "remove it")
	case slices.Contains(forwardNames, low):
		return value.Wrong("is written by lb", "remove it; trusted_proxies says whose is kept")
	}
	return checkSetField(name)
}

func checkSetResponse(name string) *value.Flaw {
	if strings.EqualFold(name, "host") {
		return value.Wrong("is a field of requests", "write it in set_request_headers")
	}
	return checkSetField(name)
}

// readSetFields is readFields for fields that a route sets. Their values are sent as they
// stand, so it refuses those that were written to be filled in.
func readSetFields(r *schema.Reader, path string, v any, check func(string) *value.Flaw) []Field {
	fields := readFields(r, path, v, check)
	for _, f := range fields {
		at := tomlfile.Under(path, f.Name)
		if word, hint := hints.Variable(f.Value); word != "" {
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%s is not filled in here, but sent as it stands", word), hint))
		}
		if f.Value == "" && strings.EqualFold(f.Name, "host") {
			r.RefuseValue(at, value.Wrong("is empty, and no request is without it", "write a name, or leave it out for that of the client"))
		}
	}
	return fields
}

// checkCondition accepts the name of a field that a route may depend on.
func checkCondition(name string) *value.Flaw {
	if strings.EqualFold(name, "host") {
		return value.Wrong("is not for headers", "use the key host")
	}
	return value.CheckToken(name)
}
