package httpparse

import "testing"

// TestLookup: the first field of a name counts, in any case, and hidden fields do not.
func TestLookup(t *testing.T) {
	in := get("X-A: 1\r\nx-a: 2\r\nEmpty:\r\nCookie: c\r\n")
	r := parsed(t, in)
	r.Hide([]byte(in), "Cookie")
	for _, tc := range []struct {
		name, want string
		ok         bool
	}{
		{"X-A", "1", true},
		{"x-A", "1", true},
		{"Empty", "", true},
		{"host", "h1.test", true},
		{"cookie", "", false},
		{"X-", "", false},
		{"X-AB", "", false},
		{"X_A", "", false},
		{"", "", false},
	} {
		if got, ok := r.Lookup([]byte(in), tc.name); string(got) != tc.want || ok != tc.ok {
			t.Errorf("%q: %q, %t; want %q, %t", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

func TestLookupCookie(t *testing.T) {
	for _, tc := range []struct {
		fields, want string
		ok           bool
	}{
		{"Cookie: a=1\r\n", "1", true},
		{"Cookie: b=2; a=1; a=3\r\n", "1", true},
		{"Cookie: b=2;a=1\r\n", "1", true},
		{"Cookie:  b=2 ;\t a=1 \r\n", "1", true},
		{"Cookie: b=2\r\nX: a=4\r\nCookie: a=1\r\n", "1", true},
		{"Cookie: a=\r\n", "", true},
		{"Cookie: a=x=y\r\n", "x=y", true},
		{"Cookie: a=\"1\"\r\n", "\"1\"", true},
		{"Cookie: ;; a=1\r\n", "1", true},
		{"Cookie: A=1\r\n", "", false}, // names of cookies have a case
		{"Cookie: aa=1; b=a=1\r\n", "", false},
		{"Cookie: a\r\n", "", false},
		{"Cookie: b=2, a=1\r\n", "", false},
		{"Cookie:\r\n", "", false},
		{"Set-Cookie: a=1\r\n", "", false},
		{"", "", false},
	} {
		in := get(tc.fields)
		if got, ok := parsed(t, in).LookupCookie([]byte(in), "a"); string(got) != tc.want || ok != tc.ok {
			t.Errorf("%q: %q, %t; want %q, %t", tc.fields, got, ok, tc.want, tc.ok)
		}
	}
}

// TestLookupAllocations: routes and affinity look fields up for every request.
func TestLookupAllocations(t *testing.T) {
	in := []byte(get("X-A: 1\r\nCookie: b=2; a=1\r\n"))
	r := parsed(t, string(in))
	n := testing.AllocsPerRun(100, func() {
		_, field := r.Lookup(in, "x-a")
		if _, cookie := r.LookupCookie(in, "a"); !field || !cookie {
			t.Error("not found")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
