package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestRequestBytes(t *testing.T) {
	for _, tc := range []struct {
		o    Options
		want string
	}{
		{Options{URL: "http://a.example"}, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"},
		{Options{URL: "a.example:81/x?y=%20#z"}, "GET /x?y=%20 HTTP/1.1\r\nHost: a.example:81\r\n\r\n"},
		{Options{URL: "http://[::1]:80/"}, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"},
		{Options{URL: "http://h/", Fields: []Field{{"A", "b c"}, {"host", "other"}, {"Empty", ""}}},
			"GET / HTTP/1.1\r\nHost: other\r\nA: b c\r\nEmpty: \r\n\r\n"},
		{Options{URL: "http://h/", Body: []byte("abc")}, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"},
		{Options{URL: "http://h/", BodyBytes: 2, Method: "PUT"}, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxx"},
		{Options{URL: "http://h/", Method: "POST"}, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		{Options{URL: "http://h/", Method: "HEAD", NewConnPerRequest: true},
			"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
		{Options{URL: "http://h/", Pipeline: 3}, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 3)},
	} {
		setZero(&tc.o.Pipeline, 1)
		r, err := newRequest(&tc.o)
		if err != nil || string(r.block) != tc.want || len(r.block) != r.len*tc.o.Pipeline {
			t.Errorf("%+v: %q, %v; want %q", tc.o, r.block, err, tc.want)
		}
	}
	big, err := newRequest(&Options{URL: "http://h/", BodyBytes: 1 << 20, Pipeline: 100})
	if err != nil || len(big.block) != big.len {
		t.Errorf("a large request lies there more than once: %d bytes, %v", len(big.block), err)
	}
}

func TestRefusedOptions(t *testing.T) {
	good := Options{URL: "http://127.0.0.1:1/", Requests: 1}
	for _, tc := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.URL = "ftp://h/" }, `scheme "ftp"`},
		{func(o *Options) { o.URL = "http:///x" }, "names no host"},
		{func(o *Options) { o.URL = "" }, "names no host"},
		{func(o *Options) { o.URL = "http://u:p@h/" }, "Authorization"},
		{func(o *Options) { o.URL = "http://h/?a b" }, "no request line"},
		{func(o *Options) { o.URL = "http://h/%zz" }, "invalid URL escape"},
		{func(o *Options) { o.Method = "GET /" }, "method"},
		{func(o *Options) { o.Method = "CONNECT" }, "method"},
		{func(o *Options) { o.Fields = []Field{{"A b", "c"}} }, "no field"},
		{func(o *Options) { o.Fields = []Field{{"", "c"}} }, "no field"},
		{func(o *Options) { o.Fields = []Field{{"A", "b\r\nC: d"}} }, "no field"},
		{func(o *Options) { o.Fields = []Field{{"content-length", "1"}} }, "set by what is sent"},
		{func(o *Options) { o.Fields = []Field{{"Transfer-Encoding", "chunked"}} }, "set by what is sent"},
		{func(o *Options) { o.Addrs = []string{"h"} }, "want host:port"},
		{func(o *Options) { o.Addrs = []string{"127.0.0.1:0"} }, "port"},
		{func(o *Options) { o.Addrs = []string{"unix:"} }, "port"},
		{func(o *Options) { o.Requests = 0 }, "neither"},
		{func(o *Options) { o.Requests = -1 }, "requests"},
		{func(o *Options) { o.Conns = -1 }, "conns"},
		{func(o *Options) { o.Rate = -1 }, "rate"},
		{func(o *Options) { o.Rate = math.NaN() }, "rate"},
		{func(o *Options) { o.Pipeline = -1 }, "pipeline"},
		{func(o *Options) { o.Loops = -1 }, "loops"},
		{func(o *Options) { o.Timeout = time.Nanosecond }, "timeout"},
		{func(o *Options) { o.Warmup = -1 }, "warm-up"},
		{func(o *Options) { o.BodyBytes = -1 }, "body bytes"},
		{func(o *Options) { o.Body, o.BodyBytes = []byte{}, 1 }, "one is enough"},
		{func(o *Options) { o.Pipeline, o.NewConnPerRequest = 2, true }, "nothing to pipeline"},
	} {
		o := good
		tc.change(&o)
		if r, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %+v, %v; want an error that says %q", o, r, err, tc.want)
		}
	}
}
