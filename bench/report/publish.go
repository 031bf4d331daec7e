package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// README's figures stand between these markers. The first one names the JSON of a
// report, as seen from README's directory.
const (
	markBegin = "<!-- bench:begin "
	markClose = " -->"
	markEnd   = "<!-- bench:end -->"
)

// fillIn returns text with everything between markers replaced, and the number of
// such places. read returns the report of a file.
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

// Publish writes the figures in the file readme and the whole report to the file
// docs; either may be "". report is the file of the report. For readme it may be
// "": then the report is the one that readme names.
func Publish(readme, docs, report string) error {
	var err1, err2 error
	if readme != "" {
		err1 = rewriteReadme(readme, report)
	}
	if docs != "" {
		err2 = writeDocs(docs, report)
	}
	return errors.Join(err1, err2)
}

// writeDocs writes the whole report to the file docs.
func writeDocs(docs, report string) error {
	r, err := Read(report)
	if err != nil {
		return err
	}
	name, err := seenFrom(filepath.Dir(docs), report)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := r.writeMarkdown(&b, strings.TrimSuffix(name, ".json")); err != nil {
		return err
	}
	return os.WriteFile(docs, b.Bytes(), 0o644)
}

// seenFrom returns the path of a file relative to dir, with slashes.
func seenFrom(dir, file string) (string, error) {
	dir, err1 := filepath.Abs(dir)
	file, err2 := filepath.Abs(file)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	name, err := filepath.Rel(dir, file)
	return filepath.ToSlash(name), err
}

// rewriteReadme writes the figures in the README file again. If report is not "",
// the README names that file from now on.
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
	filled, places, err := fillIn(text, func(name string) (*Report, error) { return Read(filepath.Join(dir, name)) })
	if err != nil {
		return err
	}
	if places == 0 {
		return fmt.Errorf("%s has no %sFILE%s", file, markBegin, markClose)
	}
	return os.WriteFile(file, []byte(filled), 0o644)
}

// renameReport returns text with every marker naming report, as seen from dir.
func renameReport(text, dir, report string) (string, error) {
	name, err := seenFrom(dir, report)
	if err != nil {
		return "", err
	}
	pieces := strings.Split(text, markBegin)
	for i, p := range pieces[1:] {
		_, rest, _ := strings.Cut(p, markClose)
		pieces[i+1] = name + markClose + rest
	}
	return strings.Join(pieces, markBegin), nil
}
