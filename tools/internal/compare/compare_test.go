package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The test program stands for both sides: with SIDE in its environment it prints what a benchmark would.
func TestMain(m *testing.M) {
	side := os.Getenv("SIDE")
	if side == "" {
		os.Exit(m.Run())
	}
	args := strings.Join(os.Args[1:], " ")
	switch {
	case strings.Contains(args, "--broken"):
		fmt.Fprintln(os.Stderr, "it broke")
		os.Exit(3)
	case strings.Contains(args, "--garbage"):
		fmt.Println("not JSON")
	case strings.Contains(args, "--sync never"):
		fmt.Printf(`{"args": %q, "rate": 6000, "ms": 2}`, args)
	case strings.Contains(args, "--sync always"):
		fmt.Printf(`{"args": %q, "rate": 99.96, "ms": 3}`, args)
	default:
		fmt.Printf(`{"args": %q, "rate": 1234567, "ms": 5, "own": 1}`, args)
	}
}

func testSides(t *testing.T) sides {
	t.Helper()
	t.Setenv("SIDE", "any")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return sides{cairn: command{self}, reference: command{self, "bench.js"}}
}

func TestMeasure(t *testing.T) {
	c := comparison{
		bench: "append", what: "append", both: []string{"--size", "1"}, cairn: []string{"--count", "3"}, synced: []string{"--count", "2"}, reference: []string{"--count", "1"},
		figures: []figure{{name: "rate", unit: "/s"}, {name: "ms", label: "delay", unit: " ms", less: true}, {name: "own"}},
	}
	r, err := c.measure(t.Context(), testSides(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		reports []report
		args    string
	}{
		{r.cairn, "bench append --json --size 1 --count 3 --sync never"},
		{r.synced, "bench append --json --size 1 --count 2 --sync always"},
		{r.reference, "bench.js append --size 1 --count 1"},
	} {
		if len(want.reports) != 2 || want.reports[1]["args"] != want.args {
			t.Errorf("ran %v, want %q twice", want.reports, want.args)
		}
	}
	const want = `work     Cairn     Cairn, synced   JavaScript    ratio
append   6,000/s   100.0/s         1,234,567/s   0.0
delay    2.0 ms    3.0 ms          5.0 ms        2.5
append   -         -               1.0           -
`
	if got := table(c.lines(r)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestMeasureErrors(t *testing.T) {
	s := testSides(t)
	for _, test := range []struct{ argument, want string }{
		{"--broken", "it broke"},
		{"--garbage", "invalid character"},
	} {
		c := comparison{bench: "get", both: []string{test.argument}}
		if _, err := c.measure(t.Context(), s, 1); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s gave %v", test.argument, err)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		var reports []report
		for _, v := range test.values {
			reports = append(reports, report{"x": v})
		}
		if got, ok := median(reports, "x"); !ok || got != test.want {
			t.Errorf("median of %v is %v", test.values, got)
		}
	}
	if _, ok := median([]report{{"x": 1.0}, {}}, "x"); ok {
		t.Error("a median of fewer runs than there were")
	}
}

func TestThousands(t *testing.T) {
	for digits, want := range map[string]string{"1": "1", "123": "123", "1234": "1,234", "123456": "123,456", "1234567": "1,234,567"} {
		if got := thousands(digits); got != want {
			t.Errorf("%s became %s", digits, got)
		}
	}
}

func TestChoose(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) != len(comparisons) {
		t.Errorf("all are %d, %v", len(all), err)
	}
	some, err := choose("many,append")
	if err != nil || len(some) != 3 || some[0].bench != "many" || some[2].bench != "append" {
		t.Errorf("many,append is %+v, %v", some, err)
	}
	if _, err := choose("append,nothing"); err == nil {
		t.Error("an unknown benchmark was chosen")
	}
}
