package parity

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	table, err := Parse(strings.NewReader(`# Title

| Other | table |
| --- | --- |
| x | y |

## hypercore 9

### Options

| JavaScript | Go | Test | Note |
| --- | --- | --- | --- |
| ` + "`sparse` | `engine.Options.Sparse` | `engine.TestSparse` | " + `|
| ` + "`valueEncoding: 'a' \\| 'b'` | `codec.Encoding`, `codec.View` | `codec.TestView/json`, `codec.ExampleView` | generic" + ` |

### Methods

| JavaScript | Go | Test | Note |
|---|:---|---|---|
| ` + "`sparse`" + ` | absent | | replication |

## Other
| JavaScript | Go | Test | Note |
| --- | --- | --- | --- |
| x | absent | | n |
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Table{
		{Line: 13, Section: "hypercore 9: Options", Name: "sparse", Go: []string{"engine.Options.Sparse"}, Tests: []string{"engine.TestSparse"}},
		{
			Line: 14, Section: "hypercore 9: Options", Name: "valueEncoding: 'a' | 'b'", Go: []string{"codec.Encoding", "codec.View"},
			Tests: []string{"codec.TestView/json", "codec.ExampleView"}, Note: "generic",
		},
		{Line: 20, Section: "hypercore 9: Methods", Name: "sparse", Note: "replication"},
		{Line: 25, Section: "Other", Name: "x", Note: "n"},
	}
	if !reflect.DeepEqual(table, want) {
		t.Errorf("got\n%+v\nwant\n%+v", table, want)
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ rows, want string }{
		{"| a | b | c |", "3 cells"},
		{"| a | absent | | n", "does not end"},
		{"| | absent | | n |", "no JavaScript name"},
		{"| a | absent | `x.TestY` | n |", "absent but has a test"},
		{"| a | absent | | |", "without a note"},
		{"| a | engine.Feed | `engine.TestFeed` | |", "Go cell"},
		{"| a | `engine.Feed` `engine.Store` | `engine.TestFeed` | |", "Go cell"},
		{"| a | `engine.Feed` | | |", "test cell"},
		{"| a | absent | | n |\n| b | absent | | n |\n| a | absent | | n |", "line 6: a is on line 4 already"},
	} {
		_, err := Parse(strings.NewReader("# T\n| JavaScript | Go | Test | Note |\n| --- | --- | --- | --- |\n" + test.rows + "\n"))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q gave %v, want an error with %q", test.rows, err, test.want)
		}
	}
}
