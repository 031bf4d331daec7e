package grpc

import (
	"math"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestIs(t *testing.T) {
	for value, want := range map[string]bool{
		"application/grpc":                    true,
		"application/grpc+proto":              true,
		"application/grpc+json; charset=utf8": true,
		"application/grpc;x=y":                true,
		"application/grpc ; x=y":              true,
		"Application/gRPC":                    true,
		"application/grpc-web":                false,
		"application/grpc-web+proto":          false,
		"application/grpcs":                   false,
		"application/grp":                     false,
		"application/json":                    false,
		"text/plain; application/grpc":        false,
		"aaaaaaaaaaaaaaac":                    false,
		"":                                    false,
	} {
		if got := Is([]byte(value)); got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
}

func TestInHead(t *testing.T) {
	for head, want := range map[string]bool{
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n":                  true,
		"POST /a HTTP/1.1\ncontent-type:\tapplication/grpc+proto\n":                          true,
		"POST /a HTTP/1.1\r\ncontent-type: application/grpc":                                 true, // cut off
		"POST /a HTTP/1.1\r\ncontent-type: text/plain\r\ncontent-type: application/grpc\r\n": false,
		"POST /a HTTP/1.1\r\nhost: a\r\n\r\ncontent-type: application/grpc\r\n":              false, // in the body
		"POST /a HTTP/1.1\r\nx-content-type: application/grpc\r\n":                           false,
		"POST /a HTTP/1.1\r\ncontent-type : application/grpc\r\n":                            false,
		"":         false,
		"\r\n\r\n": false,
	} {
		if got := InHead([]byte(head)); got != want {
			t.Errorf("%q: %t", head, got)
		}
	}
}

func TestTimeout(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second,
		"4m": 4 * time.Millisecond, "5u": 5 * time.Microsecond, "6n": 6,
		"0n": 0, "00000007S": 7 * time.Second, "99999999n": 99999999,
		"99999999S": 99999999 * time.Second,
		"99999999H": math.MaxInt64, "99999999M": 99999999 * time.Minute,
		"2562047H": 2562047 * time.Hour, "2562048H": math.MaxInt64,
	} {
		if got, ok := Timeout([]byte(value)); !ok || got != want {
			t.Errorf("%q: %v, %t; want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "S", "1", "100000000S", "1s", "1h", "-1S", "+1S", "1.5S", "1 S", "1S ", "1x", "0x1S", "١S"} {
		if got, ok := Timeout([]byte(value)); ok {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func FuzzTimeout(f *testing.F) {
	for _, s := range []string{"1H", "99999999S", "100000000S", "1x", "S", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := Timeout([]byte(s))
		digits := strings.TrimLeft(s, "0123456789")
		good := len(s) <= 9 && len(s) >= 2 && len(digits) == 1 && strings.ContainsAny(digits, "HMSmun")
		if ok != good || d < 0 {
			t.Errorf("%q: %v, %t", s, d, ok)
		}
	})
}

// TestStatusOf: the codes of http-grpc-status-mapping.md, and those that lb knows better.
func TestStatusOf(t *testing.T) {
	for code, want := range map[int]Status{
		400: Internal, 401: Unauthenticated, 403: PermissionDenied, 404: Unimplemented,
		429: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable,
		408: Unavailable, 413: ResourceExhausted, 414: ResourceExhausted, 431: ResourceExhausted,
		500: Internal, 501: Unimplemented,
		308: Unknown, 421: Unknown, 505: Unknown,
	} {
		if got := StatusOf(code); got != want {
			t.Errorf("%d: %d, want %d", code, got, want)
		}
	}
}

func TestAppendStatus(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"503 Service Unavailable": "503 Service Unavailable",
		"100% of \"a\" ~":         "100%25 of \"a\" ~",
		"a\r\nb: \x00\x7f":        "a%0D%0Ab: %00%7F",
		"the end\n":               "the end",
		"\t\u00e9\u263a":          "%09%C3%A9%E2%98%BA",
	} {
		d := string(AppendStatus([]byte("x"), Unavailable, []byte(text)))
		if d != "xgrpc-status: 14\r\ngrpc-message: "+want+"\r\n" {
			t.Errorf("%q: %q", text, d)
		}
		if back, err := url.PathUnescape(want); err != nil || back != strings.TrimSuffix(text, "\n") {
			t.Errorf("%q: read back as %q, %v", text, back, err)
		}
	}
}
