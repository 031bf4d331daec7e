package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// form is one of the files of a report.
type form struct {
	suffix    string
	write     func(io.Writer) error
	published bool // kept in the repository beside the JSON
}

// forms returns the files of the report, whose names begin with prefix.
func (r *Report) forms(prefix string) []form {
	return []form{
		{".json", r.writeJSON, true},
		{".csv", r.writeCSV, true},
		{".md", func(w io.Writer) error { return r.writeMarkdown(w, filepath.Base(prefix)) }, false},
		{"-summary.svg", r.plotSummary, true},
		{"-cost.svg", r.plotCost, true},
		{"-latency.svg", r.plotLatency, true},
	}
}

// Save writes the report in all its forms to files that begin with prefix.
func (r *Report) Save(prefix string) error {
	if err := os.MkdirAll(filepath.Dir(prefix), 0o755); err != nil {
		return err
	}
	for _, f := range r.forms(prefix) {
		file, err := os.Create(prefix + f.suffix)
		if err != nil {
			return err
		}
		if err := errors.Join(f.write(file), file.Close()); err != nil {
			return fmt.Errorf("%s: %w", prefix+f.suffix, err)
		}
	}
	return nil
}
