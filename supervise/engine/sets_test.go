package engine

import (
	"testing"

	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/supervise/plan"
)

// TestSets: a set is made once for all loops, and what is of no use leaves the one before.
func TestSets(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	secrets := func(n uint64) *tlsconf.Secrets {
		p := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
		return &tlsconf.Secrets{Number: n, Certs: []tlsconf.Cert{{Chain: p.Cert, Key: p.Key}}}
	}
	cfg := config.Default()
	cfg.Listeners = []config.Listener{{Address: ":443", TLS: true}}
	first := &plan.Snapshot{Config: cfg, Secrets: secrets(1)}
	var b Sets
	one, err := b.of(first)
	again, _ := b.of(first)
	if err != nil || one == nil || one != again {
		t.Fatalf("%v: %p and %p", err, one, again)
	}
	second := secrets(2)
	two, err := b.with(second)
	if err != nil || two == one || two.Server == nil {
		t.Fatalf("%v: %p", err, two)
	}
	if again, _ := b.of(first.WithSecrets(second)); again != two {
		t.Error("the snapshot that has the same secrets makes another set")
	}
	bad := secrets(3)
	bad.Certs[0].Key = second.Certs[0].Key
	if got, err := b.with(bad); err == nil || got != two {
		t.Errorf("%v: unfit secrets", err)
	}
	if got, err := b.of(&plan.Snapshot{Config: config.Default()}); got != nil || err != nil {
		t.Errorf("%v, %v: a set without TLS", got, err)
	}
}
