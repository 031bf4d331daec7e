package fleet

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// serve is a backend: it answers with its name.
func serve(name, addr string) {
	err := http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", name)
		io.WriteString(w, name)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// lost is a request that was not answered with a 200.
type lost struct {
	Began time.Time
	Why   string
}

// result is what a load has seen.
type result struct {
	Good     int
	Lost     []lost
	Backends map[string][]string // by key, in the order in which they came
}

// load sends requests until its standard input ends, and then prints a result. Its arguments
// are the address, the number of clients, and how many requests each sends on a conn. Each
// client has a key of its own, which it sends as X-User.
func load(args []string) {
	clients, _ := strconv.Atoi(args[1])
	each, _ := strconv.Atoi(args[2])
	stop := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var mu sync.Mutex
	sum := result{Backends: map[string][]string{}}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			c := client{addr: args[0], key: fmt.Sprint("user-", i), each: each}
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					mu.Lock()
					defer mu.Unlock()
					sum.Good += c.good
					sum.Lost = append(sum.Lost, c.lost...)
					sum.Backends[c.key] = c.seen
					return
				case <-pace.C:
					c.ask()
				}
			}
		})
	}
	fmt.Println("begun")
	all.Wait()
	json.NewEncoder(os.Stdout).Encode(sum)
}

// client is one client of a load.
type client struct {
	addr, key string
	each      int
	conn      net.Conn
	in        *bufio.Reader
	sent      int // on conn
	good      int
	lost      []lost
	seen      []string
}

// clientTimeout is how long a client waits for a connection or for an answer. It is longer
// than a second SYN takes.
const clientTimeout = 8 * time.Second

// ask sends one request. As any client, it takes another conn for a request that met a conn
// that had been closed before it.
func (c *client) ask() {
	began := time.Now()
	again := c.conn != nil
	backend, err := c.exchange()
	if again && errors.Is(err, errClosedBefore) {
		backend, err = c.exchange()
	}
	if err != nil {
		c.lost = append(c.lost, lost{began, err.Error()})
		return
	}
	c.good++
	if n := len(c.seen); n == 0 || c.seen[n-1] != backend {
		c.seen = append(c.seen, backend)
	}
}

// errClosedBefore is the end of a conn where an answer should begin.
var errClosedBefore = errors.New("the conn was closed before the request")

func (c *client) exchange() (backend string, err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.addr, clientTimeout); err != nil {
			return "", fmt.Errorf("connect: %w", err)
		}
		c.in, c.sent = bufio.NewReader(c.conn), 0
	}
	c.sent++
	last := ""
	if c.sent >= c.each {
		last = "Connection: close\r\n"
	}
	c.conn.SetDeadline(time.Now().Add(clientTimeout))
	fmt.Fprintf(c.conn, "GET / HTTP/1.1\r\nHost: fleet.test\r\nX-User: %s\r\n%s\r\n", c.key, last)
	if _, err := c.in.Peek(1); err != nil {
		c.hangUp()
		if errors.Is(err, io.EOF) {
			return "", errClosedBefore
		}
		return "", fmt.Errorf("answer: %w", err)
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	}
	if err != nil {
		c.hangUp()
		return "", fmt.Errorf("answer: %w", err)
	}
	if answer.Close || last != "" {
		c.hangUp()
	}
	if answer.StatusCode != 200 {
		return "", errors.New(answer.Status)
	}
	return answer.Header.Get("X-Backend"), nil
}

func (c *client) hangUp() {
	c.conn.Close()
	c.conn = nil
}

// group is the number of the router's group of next hops; those of hosts follow it.
const group = 100

// route keeps the routes to addr to those of the hosts whose /readyz is good, as a router does
// by BGP or its own checks. The group is a resilient one: of a host that goes, only its own
// flows move. It prints the hosts whenever they change.
func route(addr string, hosts []string) {
	for i, h := range hosts {
		ipRoute("nexthop", "replace", "id", strconv.Itoa(group+1+i), "via", h, "dev", "eth0")
	}
	isReady := make([]atomic.Bool, len(hosts))
	for i, h := range hosts {
		go watch(h, &isReady[i]) // one that is gone holds up no other
	}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	var now []string
	for ; ; <-pace.C {
		var good, ids []string
		for i, h := range hosts {
			if isReady[i].Load() {
				good, ids = append(good, h), append(ids, strconv.Itoa(group+1+i))
			}
		}
		if slices.Equal(good, now) || len(good) == 0 { // no host at all: better those of before
			continue
		}
		ipRoute("nexthop", "replace", "id", strconv.Itoa(group), "group", strings.Join(ids, "/"), "type", "resilient", "buckets", "128")
		if now == nil {
			ipRoute("route", "replace", addr+"/32", "nhid", strconv.Itoa(group))
		}
		now = good
		fmt.Println("routes", strings.Join(now, " "))
	}
}

// watch keeps in is whether the /readyz of a host is good.
func watch(host string, is *atomic.Bool) {
	ask := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for ; ; <-pace.C {
		answer, err := ask.Get("http://" + host + ":9900/readyz")
		if err == nil {
			answer.Body.Close()
		}
		is.Store(err == nil && answer.StatusCode == 200)
	}
}

func ipRoute(args ...string) {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "ip %s: %v: %s\n", strings.Join(args, " "), err, out)
	}
}
