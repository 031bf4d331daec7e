// Package proxy is HOW a request is answered: an exchange from its first byte to
// its last. DESIGN.md §4 has the phases.
package proxy
