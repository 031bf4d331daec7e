package urlpath

import "testing"

// TestAppendURI: what RFC 3986 has stays, all else is encoded; the result stays as it is.
func TestAppendURI(t *testing.T) {
	for in, want := range map[string]string{
		"/a%2fb/;=@?x[]=1&y=%41":  "/a%2fb/;=@?x[]=1&y=%41",
		"/|^`{}\\\"<>":            "/%7C%5E%60%7B%7D%5C%22%3C%3E",
		"/%":                      "/%25",
		"/%2?%zz%%20":             "/%252?%25zz%25%20",
		"/\xc3\xa9\x80\xff":       "/%C3%A9%80%FF",
		"/#\r\n and more\x00\x7f": "/%23%0D%0A%20and%20more%00%7F",
	} {
		got := AppendURI([]byte("x"), []byte(in))
		if string(got) != "x"+want || string(AppendURI(nil, got)) != string(got) {
			t.Errorf("%q: got %q, want %q", in, got[1:], want)
		}
	}
}
