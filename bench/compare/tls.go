package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// makeCert writes a new certificate for localhost, signed by itself, and its key, ECDSA
// with P-256, to one PEM file in dir.
func makeCert(dir string) (file string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	now := time.Now()
	tmpl := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 30),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	both := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	both = append(both, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	file = filepath.Join(dir, "both.pem")
	return file, os.WriteFile(file, both, 0o600)
}

// clientTLS returns the settings of clients that speak this version alone. All proxies
// agree to the same: AES-128-GCM and X25519.
func clientTLS(version string) *tls.Config {
	c := &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"http/1.1"},
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, // the second for the certificate
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, // of 1.2
	}
	if version == "1.2" {
		c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	}
	return c
}

// dialTLS opens a conn and checks what the other side has agreed to.
func dialTLS(addr, version string) (net.Conn, error) {
	d := net.Dialer{Timeout: readyTimeout}
	c, err := tls.DialWithDialer(&d, "tcp", addr, clientTLS(version))
	if err != nil {
		return nil, err
	}
	want := tls.TLS_AES_128_GCM_SHA256
	if version == "1.2" {
		want = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	}
	if got := c.ConnectionState().CipherSuite; got != want {
		c.Close()
		return nil, fmt.Errorf("agrees to %s, not to %s", tls.CipherSuiteName(got), tls.CipherSuiteName(want))
	}
	return c, nil
}

// clientHello returns the first flight of a client.
func clientHello() ([]byte, error) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go tls.Client(theirs, clientTLS("1.3")).Handshake()
	var record [5]byte
	if _, err := ours.Read(record[:]); err != nil {
		return nil, err
	}
	rest := make([]byte, int(record[3])<<8|int(record[4]))
	_, err := ours.Read(rest)
	return append(record[:], rest...), err
}

// flood starts a flood of handshakes on t, from n clients.
func (r *rig) flood(ctx context.Context, t target, n int) (*child, error) {
	c, err := r.launcher.start("flood", r.cores.Load, r.programs.self, asFlood, t.addrs[0], strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	return c, rest(ctx, floodHead)
}

// floodHead is the time for which a flood lasts before the measurement beside it.
const floodHead = 300 * time.Millisecond

// runFlood begins handshakes until ctx ends: each of n clients sends a ClientHello, waits
// for the first byte of the answer, for which the proxy has paid by then, and hangs up.
// The bytes are always the same, so the flood costs little here.
func runFlood(ctx context.Context, argv []string) error {
	if len(argv) != 2 {
		return fmt.Errorf("%s: want an address and a number of clients", asFlood)
	}
	n, err := strconv.Atoi(argv[1])
	if err != nil {
		return err
	}
	hello, err := clientHello()
	if err != nil {
		return err
	}
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				beginHandshake(argv[0], hello)
			}
		})
	}
	clients.Wait()
	return nil
}

// beginHandshake opens a conn, sends hello and waits for a byte. A proxy that refuses is
// left alone for a moment.
func beginHandshake(addr string, hello []byte) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		defer c.Close()
		c.(*net.TCPConn).SetLinger(0) // no port is left over
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err = c.Write(hello); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	}
	if err != nil {
		time.Sleep(time.Millisecond)
	}
}
