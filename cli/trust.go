package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"lb/cli/load"
	"lb/config"
	"lb/supervise/localca"
)

// trustCmd is `lb trust`.
type trustCmd struct {
	configFlag
	PEM bool `name:"pem" help:"Print the root certificate itself, in PEM."`
}

// Run prints where the root of the internal authority is, and how to trust it.
func (c *trustCmd) Run(std *streams) error {
	elsewhere := config.Flags{Backends: []string{"127.0.0.1:1"}} // lb may have its backends from flags
	cfg, err := load.FindOf(c.Config, elsewhere)
	if err != nil {
		return err
	}
	root, err := localca.FindRoot(cfg.TLS.ACME.Storage)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: lb's internal authority is made when lb first needs it, as by lb serve --https localhost (-c says with which file)", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: only lb's user may read it; try sudo lb trust", err)
	case err != nil:
		return err
	}
	if c.PEM {
		_, err := std.out.Write(root.PEM)
		return err
	}
	printTrust(std.out, root)
	return nil
}

// printTrust writes what there is to know of root.
func printTrust(w io.Writer, root *localca.Root) {
	path := shellQuoted(root.Path)
	fmt.Fprintf(w, "The root of lb's internal authority is %s\n", root.Path)
	fmt.Fprintf(w, "  name     %s\n", root.X509.Subject.CommonName)
	fmt.Fprintf(w, "  until    %s\n", root.X509.NotAfter.UTC().Format("2006-01-02"))
	fmt.Fprintf(w, "  SHA-256  %x\n\n", sha256.Sum256(root.X509.Raw))
	fmt.Fprintln(w, "A machine that trusts it believes whatever is signed with the key beside it: keep that\nkey to yourself, and do not have machines of others trust it.")
	for _, how := range []struct{ where, command string }{
		{"For one command", "curl --cacert " + path + " https://localhost/"},
		{"Debian, Ubuntu", "sudo cp " + path + " /usr/local/share/ca-certificates/lb.crt && sudo update-ca-certificates"},
		{"Fedora, Red Hat", "sudo cp " + path + " /etc/pki/ca-trust/source/anchors/lb.pem && sudo update-ca-trust"},
		{"macOS", "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain " + path},
		{"Windows, as administrator", "certutil -addstore -f Root lb-root.pem"},
		{"Chromium on Linux (certutil is in libnss3-tools, or nss-tools)", `certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n lb -i ` + path},
		{"Firefox on Linux", `for p in "$HOME"/.mozilla/firefox/*/cert9.db; do certutil -d sql:"${p%/*}" -A -t C,, -n lb -i ` + path + "; done"},
		{"For another machine", "lb trust --pem > lb-root.pem"},
	} {
		fmt.Fprintf(w, "\n%s:\n  %s\n", how.where, how.command)
	}
}

// shellQuoted returns path as one word of a shell.
func shellQuoted(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@,", r)
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
