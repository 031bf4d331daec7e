package sources

import (
	"fmt"
	"testing"
	"time"

	"lb/admin/api"
)

// Those that fail are shown in any case, of the others some.
func TestRows(t *testing.T) {
	now := time.Unix(1700000000, 0)
	var list []api.Discovery
	for i := range 50 {
		list = append(list, api.Discovery{Source: fmt.Sprint("n", i), Up: true, Backends: 1})
	}
	list = append(list, api.Discovery{Source: "sick", Fault: "x", FaultAt: now.Add(-time.Second)}, api.Discovery{Source: "new"})
	rows, more := Rows(list, now)
	if len(rows) != 22 || more != 30 {
		t.Errorf("%d rows and %d more", len(rows), more)
	}
	if got := fmt.Sprint(rows[20].Cells, rows[21].Cells); got != "[sick 0 - - fails] [new 0 - - not answered yet]" {
		t.Error(got)
	}
	if got := fmt.Sprint(Problems(list, now)); got != "[source of backends sick: 1s ago: x]" {
		t.Error(got)
	}
}
