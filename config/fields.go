package config

import (
	"slices"
	"strings"

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

// checkCondition accepts the name of a field that a route may depend on.
func checkCondition(name string) *value.Flaw {
	if strings.EqualFold(name, "host") {
		return value.Wrong("is not for headers", "use the key host")
	}
	return value.CheckToken(name)
}
