package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// README's figures stand between these; the file is that of a report's JSON,
// seen from README's directory.
const (
	markBegin = "<!-- bench:begin "
	markClose = " -->"
	markEnd   = "<!-- bench:end -->"
)

// fillIn returns text with what stands between the markers made again, and how
// many such places there are. read returns the report of a file.
func fillIn(text string, read func(file string) (*Report, error)) (filled string, places int, err error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, markBegin)
		b.WriteString(before)
		if !ok {
			return b.String(), places, nil
		}
		file, rest, ok := strings.Cut(rest, markClose)
		if !ok || strings.Contains(file, "\n") {
			return "", 0, errors.New("a " + markBegin + "without its" + markClose)
		}
		_, after, ok := strings.Cut(rest, markEnd)
		if !ok {
			return "", 0, fmt.Errorf("%s%s: no %s", markBegin, file, markEnd)
		}
		r, err := read(file)
		if err != nil {
			return "", 0, err
		}
		fmt.Fprintf(&b, "%s%s%s\n%s%s", markBegin, file, markClose, r.readmeText(file), markEnd)
		text = after
		places++
	}
}

// readmeText is what README shows of the report in file.
func (r *Report) readmeText(file string) string {
	var b strings.Builder
	if c := r.find("seed"); c != nil {
		fmt.Fprintf(&b, "%s:\n\n%s\n", c.About, c.table())
	}
	if costs := r.costs(); len(costs) > 1 {
		fmt.Fprintf(&b, "CPU time per request. %s\n\n%s\n", costsNote, costs)
	}
	if c := r.find("idle"); c != nil {
		fmt.Fprintf(&b, "Idle: %s.\n\n%s\n", c.About, c.table())
	}
	base := strings.TrimSuffix(file, ".json")
	fmt.Fprintf(&b, "![CPU time per request](%s-cost.svg)\n\n![Latency](%s-latency.svg)\n\n", base, base)
	fmt.Fprintf(&b, "%s\nGenerated from [%s](%s); more in [%s](%s).\n", r.preface(), path.Base(file), file, path.Base(base)+".md", base+".md")
	return b.String()
}

// rewriteReadme makes the figures of the README in file again. With report, a
// file, that is what the figures are from now on.
func rewriteReadme(file, report string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	text := string(b)
	if report != "" {
		if text, err = renameReport(text, dir, report); err != nil {
			return err
		}
	}
	filled, places, err := fillIn(text, func(name string) (*Report, error) { return readReport(filepath.Join(dir, name)) })
	if err != nil {
		return err
	}
	if places == 0 {
		return fmt.Errorf("%s has no %sFILE%s", file, markBegin, markClose)
	}
	return os.WriteFile(file, []byte(filled), 0o644)
}

// renameReport has every marker in text name report, as seen from dir.
func renameReport(text, dir, report string) (string, error) {
	dir, err1 := filepath.Abs(dir)
	report, err2 := filepath.Abs(report)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	name, err := filepath.Rel(dir, report)
	if err != nil {
		return "", err
	}
	pieces := strings.Split(text, markBegin)
	for i, p := range pieces[1:] {
		_, rest, _ := strings.Cut(p, markClose)
		pieces[i+1] = filepath.ToSlash(name) + markClose + rest
	}
	return strings.Join(pieces, markBegin), nil
}
