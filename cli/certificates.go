package cli

import (
	"cmp"
	"fmt"
	"time"

	"lb/admin/api"
	"lb/cli/words"
)

// printCertificates writes a table of certificates, and below it what is wrong with them.
func printCertificates(p page, list []api.Certificate, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	rows := [][]cell{cells("CERTIFICATE", "ISSUER", "SOURCE", "STATE")}
	for _, c := range list {
		row := cells(words.CertificateName(c), cmp.Or(c.Issuer, "-"), cmp.Or(c.File, c.Source, "-"), words.ExpiryOf(c, now))
		row[3].tint = words.ExpiryTint(c, now)
		rows = append(rows, row)
	}
	p.table(rows, 2, 0, 1)
	for _, c := range list {
		if c.Fault != "" {
			p.lineIn(fmt.Sprintf("! %s: ", words.CertificateName(c)), words.CertificateFault(c, now), red)
		}
	}
}
