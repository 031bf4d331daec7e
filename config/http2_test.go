package config

import (
	"reflect"
	"strings"
	"testing"
)

const secureBackend = "[[backends]]\nhost = \"a\"\nport = 443\n"

// protocolRefusals are refusals of [http2], and of protocols beside other keys.
var protocolRefusals = []struct{ src, want string }{
	{"[http2]\nenabled = 1\n", `2:11: http2.enabled: must be true or false, not a number; write true`},
	{"[http2]\nstreams = 0\n", `2:11: http2.streams: 0 is out of range; use 1 to 1000`},
	{"[http2]\nstreams = 1001\n", `2:11: http2.streams: 1001 is out of range; use 1 to 1000`},
	{"[http2]\nstreams = -1\n", `2:11: http2.streams: -1 is out of range; write enabled = false for no HTTP/2`},
	{"[http2]\nstream = 1\n", `2:1: http2.stream: unknown key; did you mean "streams"?`},
	{"http2 = false\n", `1:9: http2: must be a table, not true or false; write http2 = { enabled = false }`},
	{"protocol = \"spdy\"\n", `1:12: protocol: there is no protocol "spdy"; use "http1", "h2", "h2c", "auto"`},
	{"protocol = \"HTTP/2\"\n", `1:12: protocol: there is no protocol "HTTP/2"; write "h2c", or "h2" for backends with TLS`},
	{"protocol = \"http/1.1\"\n", `1:12: protocol: there is no protocol "http/1.1"; write "http1"`},
	{"protocol = \"https\"\n", `1:12: protocol: there is no protocol "https"; write "http1", and tls = true in the backends`},
	{"protocol = \"alpn\"\n", `1:12: protocol: there is no protocol "alpn"; write "auto"`},
	{"protocol = 2\n", `1:12: protocol: must be text, not a number; write "2"`},

	// Protocols and TLS.
	{"protocol = \"h2\"\n" + oneBackend, `2:3: backends[0]: a:1 is without TLS, and protocol = "h2" needs it; write protocol = "h2c", or tls = true for this backend`},
	{"protocol = \"h2\"\n" + secureBackend + "tls = false\n",
		`5:7: backends[0].tls: a:443 is without TLS, and protocol = "h2" needs it; write protocol = "h2c", or tls = true for this backend`},
	{"protocol = \"auto\"\n" + secureBackend + oneBackend,
		`5:3: backends[1]: a:1 is without TLS, and protocol = "auto" needs it for ALPN; write protocol = "h2c" or "http1", or tls = true for this backend`},
	{"protocol = \"h2c\"\n" + secureBackend, `2:3: backends[0]: a:443 speaks TLS, and protocol = "h2c" is without; write protocol = "h2", or tls = false for this backend`},
	{"protocol = \"h2c\"\n" + oneBackend + "tls = true\n",
		`5:7: backends[0].tls: a:1 speaks TLS, and protocol = "h2c" is without; write protocol = "h2", or tls = false for this backend`},
	{oneBackend + onePool + "protocol = \"h2\"\n",
		`6:13: pools[0].backends[0]: unix:/a is without TLS, and protocol = "h2" needs it; write protocol = "h2c", or tls = true for this backend`},

	// Protocols and other keys.
	{"protocol = \"h2c\"\nreuse = \"safe\"\n" + oneBackend, `2:1: reuse: is not used with protocol = "h2c", whose connections carry many requests at once; remove it`},
	{"protocol = \"h2\"\nreuse = \"never\"\n" + secureBackend, `2:1: reuse: is not used with protocol = "h2", whose connections carry many requests at once; remove it`},
	{"protocol = \"auto\"\nreuse = \"never\"\n" + secureBackend,
		`2:9: reuse: "never" cannot be kept with protocol = "auto", which may be HTTP/2; remove it, or write protocol = "http1"`},
	{oneBackend + "[health]\ntype = \"grpc\"\n",
		`5:8: health.type: "grpc" needs HTTP/2, and protocol = "http1" is without; write protocol = "h2c", or "h2" for backends with TLS`},
	{oneBackend + onePool + "health = { type = \"grpc\" }\n",
		`7:19: pools[0].health.type: "grpc" needs HTTP/2, and protocol = "http1" is without; write protocol = "h2c", or "h2" for backends with TLS`},
	{onePool + "protocol = \"h2c\"\nreuse = \"always\"\n",
		`5:1: pools[0].reuse: is not used with protocol = "h2c", whose connections carry many requests at once; remove it`},
}

func TestProtocolErrors(t *testing.T) {
	for _, tc := range protocolRefusals {
		checkError(t, tc.src, tc.want)
	}
}

// TestProtocols: what the keys mean, of the pool "default" and of others.
func TestProtocols(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want string // of every pool
	}{
		{oneBackend, "http1"},
		{"protocol = \"http1\"\n" + oneBackend + secureBackend, "http1"},
		{"protocol = \"h2c\"\n" + oneBackend, "h2c"},
		{"protocol = \"h2c\"\n" + secureBackend + "tls = false\n", "h2c"},
		{"protocol = \"h2\"\n" + secureBackend + "[[backends]]\nhost = \"b\"\nport = 1\ntls = true\n", "h2"},
		{"protocol = \"auto\"\nreuse = \"always\"\n" + secureBackend, "auto"},
		{oneBackend + onePool + "protocol = \"h2c\"\n", "http1 h2c"},
		{"protocol = \"h2c\"\n" + oneBackend + onePool, "h2c http1"},
	} {
		c, err := Parse("f", []byte(tc.src))
		if err != nil {
			t.Errorf("%q: %v", tc.src, err)
			continue
		}
		var got []string
		for _, p := range c.Pools {
			got = append(got, p.Protocol)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%q: %v, want %s", tc.src, got, tc.want)
		}
	}
}

// TestGRPCChecks: a check by gRPC has a service, a host and no path.
func TestGRPCChecks(t *testing.T) {
	c, err := Parse("f", []byte("protocol = \"h2c\"\n"+oneBackend+"[health]\ntype = \"grpc\"\nservice = \"shop.v1.Cart\"\nhost = \"cart.internal\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := NewHealth()
	want.Type, want.Service, want.Host = CheckGRPC, "shop.v1.Cart", "cart.internal"
	want.Path, want.Method, want.Expect = "", "", nil
	if got := c.Pools[0].Health; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestBackendFlagsAndProtocol: backends of flags take the place of those of the file, and
// have to fit its protocol.
func TestBackendFlagsAndProtocol(t *testing.T) {
	for _, tc := range []struct{ src, flag, want string }{
		{"protocol = \"h2c\"\n", "a:1", ""},
		{"protocol = \"h2\"\n", "https://a", ""},
		{"protocol = \"h2\"\n", "a:1", `--backend: a:1 is without TLS, and protocol = "h2" needs it; write protocol = "h2c", or tls = true for this backend`},
		{"protocol = \"h2c\"\n", "https://a", `--backend: a:443 speaks TLS, and protocol = "h2c" is without; write protocol = "h2", or tls = false for this backend`},
	} {
		_, err := flagsOf(t, tc.src, Flags{Backends: []string{tc.flag}})
		if errorText(err) != tc.want {
			t.Errorf("%q with %s:\n got %v\nwant %s", tc.src, tc.flag, err, tc.want)
		}
	}
}

// TestDiffOfProtocols: changes of the keys are shown.
func TestDiffOfProtocols(t *testing.T) {
	got := lines(Diff(parsed(t, "health = { type = \"tcp\" }\n"+onePool+"protocol = \"h2c\"\nhealth = { type = \"grpc\" }\n"),
		parsed(t, "protocol = \"auto\"\nhealth = { type = \"grpc\" }\n"+onePool+"protocol = \"h2c\"\nhealth = { type = \"grpc\", service = \"a\" }\n[http2]\nenabled = false\nstreams = 7\n")))
	want := "http2.enabled: true -> false\nhttp2.streams: 128 -> 7\nprotocol: http1 -> auto\nhealth: tcp every 5s -> grpc every 5s\npool a: health.service: \"\" -> a\n"
	if got != want {
		t.Errorf("%swant\n%s", got, want)
	}
}
