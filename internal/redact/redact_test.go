package redact

import (
	"strings"
	"testing"
)

// url returns u as it is shown.
func url(u string) string {
	var out strings.Builder
	for b := []byte(u); len(b) > 0; {
		keep, hide := NextInURL(b)
		out.Write(b[:keep])
		if hide > 0 {
			out.WriteString(Mark)
		}
		b = b[keep+hide:]
	}
	return out.String()
}

// head returns text as it is shown.
func head(text string) string {
	var out strings.Builder
	for h := NewHead([]byte(text)); ; {
		show, hidden, more := h.Next()
		if !more {
			return out.String()
		}
		out.Write(show)
		if hidden {
			out.WriteString(Mark)
		}
	}
}

// TestURL: values of parameters with a name of a secret are hidden, however it is written,
// and no other.
func TestURL(t *testing.T) {
	for in, want := range map[string]string{
		"/":                                           "/",
		"/a?id=5&q=x":                                 "/a?id=5&q=x",
		"/a?token=x":                                  "/a?token=***",
		"/a?id=5&access_token=x&n=1":                  "/a?id=5&access_token=***&n=1",
		"/a?Api-Key=x&apikey=y&api_key=z":             "/a?Api-Key=***&apikey=***&api_key=***",
		"/a?token=&password=x":                        "/a?token=&password=***",
		"/a?%74oken=x":                                "/a?%74oken=***",
		"/a?t%6Fken%3dx":                              "/a?t%6Fken%3d***",
		"/a?next=%2Fb%3Ftoken%3Dx%26y&n=1":            "/a?next=%2Fb%3Ftoken%3D***&n=1",
		"/a?next=%252Fb%253Ftoken%253Dx&n=1":          "/a?next=%252Fb%253Ftoken%253D***&n=1",
		"/a?token=x;y=z":                              "/a?token=***",
		"/a;jsessionid=x/b":                           "/a;jsessionid=***",
		"/a?user[password]=x":                         "/a?user[password]=***",
		"/a?q={%22a%22:1,%22token%22:%22x%22}&n=1":    "/a?q={%22a%22:1,%22token%22:***&n=1",
		"/a?a=b=token=x":                              "/a?a=b=token=***",
		"/token/x?secretary":                          "/token/x?secretary",
		"http://u:p@a.example/b?c=d":                  "http://***@a.example/b?c=d",
		"http://u@a.example":                          "http://***@a.example",
		"//u:p@h/":                                    "//***@h/",
		"/a?to=http%3A%2F%2Fu%3Ap%40h%2F&n=1":         "/a?to=http%3A%2F%2F***%40h%2F&n=1",
		"http://a.example:80/b@c?d=e@f":               "http://a.example:80/b@c?d=e@f",
		"/a?X-Amz-Signature=x&X-Amz-Credential=y&z=1": "/a?X-Amz-Signature=***&X-Amz-Credential=***&z=1",
		"/a?token%":                                   "/a?token%",
		"/a?to%00ken%=x":                              "/a?to%00ken%=x",
		"/a?" + strings.Repeat("b", 100) + "token" + strings.Repeat("c", 100) + "=x": "/a?" + strings.Repeat("b", 100) + "token" + strings.Repeat("c", 100) + "=***",
	} {
		if got := url(in); got != want {
			t.Errorf("%q:\n%q, want\n%q", in, got, want)
		}
	}
}

// TestHead: fields with credentials keep their names, the rest of the head stays.
func TestHead(t *testing.T) {
	for in, want := range map[string]string{
		"GET /a HTTP/1.1\r\nHost: b\r\n\r\n":                                                                     "GET /a HTTP/1.1\r\nHost: b\r\n\r\n",
		"\r\nGET /a?token=x HTTP/1.1\r\nHost: b\r\n\r\n":                                                         "\r\nGET /a?token=*** HTTP/1.1\r\nHost: b\r\n\r\n",
		"GET /a?token=x&n=1&secret=y HTTP/1.1\r\nA: b\r\n":                                                       "GET /a?token=***&n=1&secret=*** HTTP/1.1\r\nA: b\r\n",
		"GET /a?token=x\r\nCookie: b\r\n":                                                                        "GET /a?token=***\r\nCookie: ***\r\n",
		"G / HTTP/1.1\r\nAuthorization: Basic eA==\r\nC: d":                                                      "G / HTTP/1.1\r\nAuthorization: ***\r\nC: d",
		"G / HTTP/1.1\nproxy-authorization:x\ncookie: y\n":                                                       "G / HTTP/1.1\nproxy-authorization:***\ncookie: ***\n",
		"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\n\r\n":                                                     "HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\n\r\n",
		"G / HTTP/1.1\r\nX-Api-Key: k\r\nX-Auth-Token: t\r\nX-Csrf-Secret: s\r\nPassword: p\r\nMy-ApiKey: k\r\n": "G / HTTP/1.1\r\nX-Api-Key: ***\r\nX-Auth-Token: ***\r\nX-Csrf-Secret: ***\r\nPassword: ***\r\nMy-ApiKey: ***\r\n",
		"G / HTTP/1.1\r\nReferer: https://u:p@a/?token=x&n=1\r\nB: c\r\n":                                        "G / HTTP/1.1\r\nReferer: https://***@a/?token=***\r\nB: c\r\n",
		"G / HTTP/1.1\r\nForwarded: for=192.0.2.1;secret=x;host=a\r\nB: c\r\n":                                   "G / HTTP/1.1\r\nForwarded: for=192.0.2.1;secret=***\r\nB: c\r\n",
		"G / HTTP/1.1\r\nA: b\r\n more\r\n \r\nCookie:\r\n x\r\n\r\n":                                            "G / HTTP/1.1\r\nA: b\r\n ***\r\n \r\nCookie:\r\n ***\r\n\r\n",
		"": "",
	} {
		if got := head(in); got != want {
			t.Errorf("%q:\n%q, want\n%q", in, got, want)
		}
	}
}

// secretValue can stand in every place of a head and of a URL, and nothing that is shown
// contains it by chance.
const secretValue = "S3cr3tV4lu3"

// FuzzURL: the value of a parameter with a secret's name never appears, whatever stands
// around the parameter, and however its name is written; no byte is shown that was not there.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"", "/a?x=1", "%3F%26", "//u:p@h/", "?token=", "#", "%25252", "=&="} {
		f.Add(s, "&y=2", uint8(3), uint8(1))
		f.Add(s, s, uint8(200), uint8(0))
	}
	f.Fuzz(func(t *testing.T, before, after string, pick, shape uint8) {
		if strings.Contains(before+after, "S3") || strings.ContainsAny(before, "\n ") {
			return
		}
		name := []byte(words[int(pick)%len(words)])
		for i := range name {
			if shape>>(i%8)&1 != 0 && name[i] >= 'a' {
				name[i] &^= 0x20
			}
		}
		written := string(name)
		if shape%3 == 1 {
			written = "%" + string("0123456789abcdef"[name[0]>>4]) + string("0123456789ABCDEF"[name[0]&15]) + string(name[1:])
		}
		got := url(before + "&" + written + "=" + secretValue + after)
		if strings.Contains(got, secretValue) {
			t.Errorf("%q", got)
		}
		in := before + after
		if strings.Count(got, Mark) == 0 || len(got) > len(in)+len(written)+len(secretValue)+8+len(Mark)*strings.Count(in, "=")+len(Mark)*len(in) {
			t.Errorf("%q of %q", got, in)
		}
	})
}

// FuzzHead: neither a field of a credential nor a parameter of a target shows its value, and
// the lines of the head stay in place.
func FuzzHead(f *testing.F) {
	f.Add("GET /a", "Host: b\r\nX: y\r\n", "Authorization: Bearer ")
	f.Add("GET /a?token=%s", "Host: b\r\n", "X-Api-Key:")
	f.Add("\r\nGET //u@b", "A: b\r\n c\r\n", "x_secret_y:\t")
	f.Fuzz(func(t *testing.T, line, fields, name string) {
		if strings.Contains(line+fields+name, "S3") || strings.ContainsAny(name, "\r\n") || strings.Contains(fields, "\r\r") {
			return
		}
		colon := strings.IndexByte(name, ':')
		if colon < 0 || !isSecret([]byte(name[:colon])) || strings.TrimLeft(name, " \t") != name {
			name = "Cookie: "
		}
		if fields != "" && !strings.HasSuffix(fields, "\n") {
			fields += "\r\n"
		}
		text := line + " HTTP/1.1\r\n" + fields + name + secretValue + "\r\n" + fields + "\r\n"
		if strings.Trim(line, "\r\n") == "" { // the first line is another
			text = "GET / HTTP/1.1\r\n" + text
		}
		got := head(text)
		if strings.Contains(got, secretValue) {
			t.Errorf("%q", got)
		}
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("%q of %q", got, text)
		}
	})
}

// TestNoAlloc: nothing is allocated for what is hidden.
func TestNoAlloc(t *testing.T) {
	b := []byte("/a?access_token=x&y=z%3Fpassword%3D1&token=" + strings.Repeat("a", 100))
	h := []byte("GET /a?token=b HTTP/1.1\r\nCookie: c\r\nReferer: https://u:p@h/\r\n\r\n")
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		for rest := b; len(rest) > 0; {
			keep, hide := NextInURL(rest)
			rest, n = rest[keep+hide:], n+hide
		}
		for it := NewHead(h); ; {
			show, _, more := it.Next()
			if !more {
				break
			}
			n += len(show)
		}
	})
	if allocs != 0 || n == 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkNextInURL(b *testing.B) {
	u := []byte("/api/v1/items/12345?page=2&sort=name&filter=open")
	b.ReportAllocs()
	for b.Loop() {
		for rest := u; len(rest) > 0; {
			keep, hide := NextInURL(rest)
			rest = rest[keep+hide:]
		}
	}
}
