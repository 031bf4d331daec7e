package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/internal/testkit"
)

// fieldCase is one exchange through lb, byte for byte: faults that real software was
// reported for, each with the right value.
type fieldCase struct {
	name    string
	request string // CASE in it becomes the field that finds the case at the backend
	answer  string // what the backend sends; it then closes if the answer has no length
	client  string // what the client gets, as a regular expression over the whole answer
	backend string // what the backend gets; "" if it gets nothing
}

// field is a group of cases with one configuration.
type field struct {
	name  string
	plain bool // without TLS only, because they are about the scheme
	setup setup
	cases []fieldCase
}

const (
	plain   = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	plainOK = `^HTTP/1.1 200 OK\r\n(?s:.*)\r\n\r\nok$`
)

// fields are the groups.
var fields = []field{
	{"targets", true, setup{}, []fieldCase{
		{"query of a browser", "GET /render?q=a|b&f={id:1}&re=^x$&c=`d`&p=C:\\t&l=%&m=%zz HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, plainOK,
			"^GET /render\\?q=a\\|b&f=\\{id:1\\}&re=\\^x\\$&c=`d`&p=C:\\\\t&l=%&m=%zz HTTP/1.1\r\n"},
		{"path with a pipe", "GET /wiki/A|B^C\"<> HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, plainOK, `^GET /wiki/A\|B\^C"<> HTTP/1.1\r\n`},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, `^HTTP/1.1 400 `, ""},
		{"absolute form", "GET http://b:80/x|y?{} HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, plainOK, `^GET /x\|y\?\{\} HTTP/1.1\r\nHost: b:80\r\n`},
	}},
	{"answers", false, setup{}, answerCases()},
	{"strangers", false, setup{}, []fieldCase{
		{"family", "GET / HTTP/1.1\r\nHost: a\r\nCASEX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\nX-Real-IP: 6.6.6.6\r\n" +
			"Forwarded: for=6.6.6.6\r\nX-Original-URL: /admin\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: https\r\nx_real_ip: 6.6.6.6\r\nX_Other: stays\r\n\r\n",
			plain, plainOK, `^GET / HTTP/1.1\r\nHost: a\r\nX-Case: \d+\r\nX_Other: stays\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nX-Request-ID: [0-9a-f-]{36}\r\n\r\n$`},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\nCASE\r\n", plain, `^HTTP/1.1 200 OK\r\n(?s:.*)\r\n\r\nok$`, `^GET / HTTP/1.1\r\nHost: 127.0.0.1:\d+\r\n`},
		{"TE", "GET / HTTP/1.1\r\nHost: a\r\nCASETE: trailers, deflate\r\nConnection: TE\r\n\r\n", plain, plainOK, `\r\nTE: trailers\r\n`},
		{"Expect without a body", "GET / HTTP/1.1\r\nHost: a\r\nCASEExpect: 100-continue\r\n\r\n", plain, plainOK, `^GET / HTTP/1.1\r\nHost: a\r\nX-Case: \d+\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nX-Request-ID: [0-9a-f-]{36}\r\n\r\n$`},
		{"no Via", "GET / HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, plainOK, `^GET / HTTP/1.1\r\nHost: a\r\nX-Case: \d+\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nX-Request-ID: [0-9a-f-]{36}\r\n\r\n$`},
	}},
	{"trusted", false, setup{keys: "trusted_proxies = [\"127.0.0.1\"]\nforwarded = true\n"}, []fieldCase{
		{"not erased by Connection", "GET / HTTP/1.1\r\nHost: a\r\nCASEX-Forwarded-For: 192.0.2.1:99\r\nForwarded: for=192.0.2.1\r\nConnection: X-Forwarded-For, Forwarded\r\n\r\n",
			plain, plainOK, `\r\nX-Forwarded-For: 192.0.2.1:99, 127.0.0.1\r\n`},
		{"Forwarded is appended to", "GET / HTTP/1.1\r\nHost: a\r\nCASEForwarded: for=192.0.2.1\r\n\r\n", plain, plainOK, `\r\nForwarded: for=192.0.2.1, for=127.0.0.1;`},
	}},
	{"routes", true, setup{tables: fieldRoutes}, []fieldCase{
		{"the route", "GET /admin/a%2Fb HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, `^HTTP/1.1 503 `, ""}, // its backend is not there
		{"two slashes", "GET //admin HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, `^HTTP/1.1 400 `, ""},
		{"dot segments", "GET /x/../admin HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, `^HTTP/1.1 400 `, ""},
		{"escapes", "GET /%61dmin%2fx HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, `^HTTP/1.1 400 `, ""},
		{"parameters", "GET /admin;a=b/x HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, `^HTTP/1.1 400 `, ""},
		{"elsewhere", "GET /x//y;z/%41/. HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, plainOK, `^GET /x//y;z/%41/. HTTP/1.1\r\n`},
		{"second line of a header", "GET / HTTP/1.1\r\nHost: a\r\nCASEX-Internal: 0\r\nX-Internal: 1\r\n\r\n", plain, `^HTTP/1.1 503 `, ""},
		{"nominated by Connection", "GET / HTTP/1.1\r\nHost: a\r\nCASEX-Internal: 1\r\nConnection: X-Internal\r\n\r\n", plain, plainOK, `^GET / HTTP/1.1\r\nHost: a\r\nX-Case: \d+\r\nX-Forwarded-For: `},
		{"forged scheme", "GET / HTTP/1.1\r\nHost: a\r\nCASEX-Forwarded-Proto: https\r\n\r\n", plain, plainOK, `\r\nX-Forwarded-Proto: http\r\n`},
		{"method in lower case", "delete / HTTP/1.1\r\nHost: a\r\nCASE\r\n", plain, `^HTTP/1.1 503 `, ""},
		{"port of http", "GET /x HTTP/1.1\r\nHost: old:8080\r\nCASE\r\n", plain, `\r\nLocation: https://old/x\r\n`, ""},
	}},
	{"upgrades", false, setup{}, []fieldCase{
		{"with a body", "POST /exec/1/start HTTP/1.1\r\nHost: a\r\nCASEUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Length: 13\r\n\r\n{\"Tty\":false}",
			"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nstream", `^HTTP/1.1 101 UPGRADED\r\n(?s:.*)\r\n\r\nstream$`, `\r\nUpgrade: tcp\r\n(?s:.*)\r\n\r\n\{"Tty":false\}$`},
		{"of a printer", "OPTIONS * HTTP/1.1\r\nHost: a\r\nCASEUpgrade: TLS/1.2, TLS/1.0\r\nConnection: Upgrade\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n\r\nstream", `^HTTP/1.1 101 (?s:.*)\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n\r\nstream$`, `\r\nUpgrade: TLS/1.2, TLS/1.0\r\n`},
		{"without a length", "POST /exec HTTP/1.1\r\nHost: a\r\nCASEUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nstream", `^HTTP/1.1 101 (?s:.*)\r\n\r\nstream$`, `\r\nUpgrade: SPDY/3.1\r\n`},
	}},
}

// fieldRoutes lead to a pool of which nothing can be used.
const fieldRoutes = `
[[pools]]
name = "off"
backends = [{ host = "127.0.0.1", port = 1, drain = true }]
[[routes]]
path = "/admin"
pool = "off"
[[routes]]
headers = { "x-internal" = "1" }
pool = "off"
[[routes]]
headers = { "x-forwarded-proto" = "https" }
pool = "off"
[[routes]]
methods = ["DELETE"]
pool = "off"
[[routes]]
host = "old"
redirect = { to = "https://{host}{uri}" }
`

// answerCases are answers of backends that are odd and cannot be mistaken, and some that
// could be.
func answerCases() (list []fieldCase) {
	const get = "GET / HTTP/1.1\r\nHost: a\r\nCASE\r\n"
	const ok, refused = `^HTTP/1.1 200 OK\r\n(?s:.*)ok`, `^HTTP/1.1 502 `
	for _, a := range []struct{ name, answer, client string }{
		{"padded chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0 \r\n\r\n", ok},
		{"semicolon in Connection", "HTTP/1.1 200 OK\r\nConnection: close;\r\nContent-Length: 2\r\n\r\nok", ok},
		{"Keep-Alive in Connection", "HTTP/1.1 200 OK\r\nConnection: Keep-Alive, timeout=5\r\nContent-Length: 2\r\n\r\nok", ok},
		{"identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", ok},
		{"empty coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 2\r\n\r\nok", ok},
		{"chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ok},
		{"folded line", "HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok", `\r\nX-A: one +two\r\n(?s:.*)ok$`},
		{"HTTP/1.0 with chunks", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ok},
		{"empty lines first", "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ok},
		{"lower case", "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ok},
		{"two spaces", "HTTP/1.1  200  OK\r\nContent-Length: 2\r\n\r\nok", `^HTTP/1.1 200 (?s:.*)ok$`},
		{"LF only", "HTTP/1.1 200 OK\nContent-Length: 2\nX-A: b\n\nok", `^HTTP/1.1 200 OK\r\nX-A: b\r\n(?s:.*)\r\n\r\nok$`},
		{"no phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", `^HTTP/1.1 200 (?s:.*)ok$`},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", refused},
		{"no status line", "hello\r\n\r\n", refused},
		{"bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2x\r\nok\r\n0\r\n\r\n", refused},
		{"digest at the end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Digest\r\n\r\n2\r\nok\r\n0\r\nContent-Digest: sha-256=:x:\r\n\r\n", `\r\nContent-Digest: sha-256=:x:\r\n\r\n$`},
	} {
		list = append(list, fieldCase{a.name, get, a.answer, a.client, `^GET / HTTP/1.1\r\n`})
	}
	return list
}

// TestField plays the exchanges.
func TestField(t *testing.T) {
	for _, f := range fields {
		t.Run(f.name, func(t *testing.T) {
			each := eachListener
			if f.plain {
				each = eachMode
			}
			each(t, func(t *testing.T, mode string) {
				b := &oddBackend{cases: f.cases, got: make([]string, len(f.cases))}
				s := f.setup
				s.backends = to(script(t, b.serve))
				p := start(t, mode, s)
				for i, c := range f.cases {
					b.play(t, p.addr, i, c)
				}
			})
		})
	}
}

// oddBackend answers each request as its case says.
type oddBackend struct {
	cases []fieldCase
	mu    sync.Mutex
	got   []string // by case
}

var caseField = regexp.MustCompile(`\r\nX-Case: (\d+)\r\n`)

// serve answers one request of a conn, because many of the answers end it.
func (b *oddBackend) serve(c net.Conn) {
	head := readHead(c)
	found := caseField.FindStringSubmatch(head)
	if found == nil {
		return
	}
	i, _ := strconv.Atoi(found[1])
	body := make([]byte, lengthOf(head))
	if _, err := io.ReadFull(c, body); err != nil {
		return
	}
	b.mu.Lock()
	b.got[i] = head + string(body)
	b.mu.Unlock()
	io.WriteString(c, b.cases[i].answer)
}

var lengthField = regexp.MustCompile(`\r\nContent-Length: (\d+)\r\n`)

// lengthOf returns the Content-Length of a head, or 0.
func lengthOf(head string) (n int) {
	if found := lengthField.FindStringSubmatch(head); found != nil {
		n, _ = strconv.Atoi(found[1])
	}
	return n
}

// play sends the request of case i and checks both sides.
func (b *oddBackend) play(t *testing.T, addr string, i int, c fieldCase) {
	t.Helper()
	conn, err := connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testkit.Patience))
	io.WriteString(conn, strings.Replace(c.request, "CASE", fmt.Sprintf("X-Case: %d\r\n", i), 1))
	if got := wholeAnswer(conn); !regexp.MustCompile(c.client).MatchString(got) {
		t.Errorf("%s: the client got %q, want %s", c.name, got, c.client)
	}
	b.mu.Lock()
	got := b.got[i]
	b.mu.Unlock()
	want := strings.ReplaceAll(c.backend, `\r\nX-Forwarded-Proto: http\r\n`, `\r\nX-Forwarded-Proto: `+scheme(addr)+`\r\n`)
	if want == "" && got != "" || !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("%s: the backend got %q, want %s", c.name, got, want)
	}
}

// wholeAnswer returns the bytes of one answer, or of a tunnel until it ends.
func wholeAnswer(c net.Conn) string {
	var raw bytes.Buffer
	r := bufio.NewReader(io.TeeReader(c, &raw))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return raw.String() + " (" + err.Error() + ")"
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		io.Copy(io.Discard, r)
	} else {
		io.Copy(io.Discard, resp.Body)
	}
	return raw.String()
}
