package hpack

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// story is a file of the public collection of test cases: the blocks of one conn.
type story struct {
	Cases []struct {
		Wire      string
		Headers   []map[string]string
		TableSize *int `json:"header_table_size"` // from this block on
	}
}

// vectors returns the archives of the public collection, which stand in shared/hpack
// beside the repository.
func vectors(t *testing.T) []string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if found, _ := filepath.Glob(filepath.Join(dir, "shared", "hpack", "*.tar.gz")); len(found) > 0 {
			return found
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no shared/hpack/*.tar.gz in a directory above: git clone https://github.com/http2jp/hpack-test-case," +
				" then tar czf NAME.tar.gz of its directories, such as nghttp2, each into an archive of its own")
		}
	}
}

// TestVectors decodes the stories of other encoders: the fields are as the story says,
// and a table size that changes is set and kept.
func TestVectors(t *testing.T) {
	for _, path := range vectors(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".tar.gz"), func(t *testing.T) {
			stories, blocks := 0, 0
			eachStory(t, path, func(name string, s *story) {
				stories++
				blocks += len(s.Cases)
				decodeStory(t, name, s)
			})
			if stories == 0 || blocks == 0 {
				t.Errorf("%d stories with %d blocks", stories, blocks)
			}
			t.Logf("%d stories, %d blocks", stories, blocks)
		})
	}
}

// eachStory calls f for each story in an archive.
func eachStory(t *testing.T, path string, f func(name string, s *story)) {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			t.Fatal(err)
		case filepath.Ext(header.Name) != ".json":
			continue
		}
		s := new(story)
		if err := json.NewDecoder(archive).Decode(s); err != nil {
			t.Fatalf("%s: %v", header.Name, err)
		}
		f(header.Name, s)
	}
}

// decodeStory decodes the blocks of a story.
func decodeStory(t *testing.T, name string, s *story) {
	d, table := NewDecoder(1<<16), newTable(4096)
	for i, c := range s.Cases {
		if c.TableSize != nil {
			table.SetLimit(*c.TableSize)
		}
		got, err := fieldsOf(t, d, table, unhex(t, c.Wire))
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "!")
		}
		var want []text
		for _, field := range c.Headers {
			for name, value := range field {
				want = append(want, name+": "+value)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, block %d: %q, %v, want %q", name, i, got, err, want)
			return
		}
		if table.Size() > int(table.limit) {
			t.Errorf("%s, block %d: a table of %d bytes, want %d at most", name, i, table.Size(), table.limit)
		}
	}
}
