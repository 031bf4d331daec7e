// Package dashboard is the page at lb's admin address, and the stream of events that keeps
// it up to date. The page is one file without anything from elsewhere. The package knows lb
// only through Source, and neither the board nor what asks for the token.
package dashboard

import (
	"crypto/sha256"
	_ "embed" // for the files of the page
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/page.js
	pageJS string
)

// Page returns the handler of the page, for GET and HEAD.
func Page() http.Handler {
	page := strings.NewReplacer("/*page.css*/", pageCSS, "/*page.js*/", pageJS).Replace(pageHTML)
	etag := `"` + hash(page)[:22] + `"`
	policy := fmt.Sprintf("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; img-src data:; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		hash(pageJS), hash(pageCSS))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		if r.Method != http.MethodHead {
			w.Write([]byte(page))
		}
	})
}

// hash returns the SHA-256 of text as a Content-Security-Policy has it.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
