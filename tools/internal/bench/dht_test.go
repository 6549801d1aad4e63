package bench_test

import (
	"testing"

	"github.com/cairn-feeds/cairn/tools/internal/bench"
)

func TestDHT(t *testing.T) {
	r, err := bench.DHT(t.Context(), bench.Options{Count: 20, Size: 10_000, Records: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i, figure := range []float64{r.StreamMBPerSecond, r.ConnectMS, r.PutPerSecond, r.LookupPerSecond, r.RSSMB} {
		if figure <= 0 {
			t.Errorf("figure %d of %+v", i, r)
		}
	}
	if _, err := bench.DHT(t.Context(), bench.Options{Count: 1, Size: 1}); err == nil {
		t.Error("no records are no error")
	}
}
