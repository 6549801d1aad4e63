package codec_test

import (
	"fmt"
	"strconv"

	"github.com/cairn-feeds/cairn/codec"
)

func Example() {
	type post struct {
		Text string `json:"text"`
	}
	e := codec.JSON[post]()
	block, err := e.Append(nil, post{Text: "hello"})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%q\n", block)
	value, err := e.Decode(block)
	if err != nil {
		panic(err)
	}
	fmt.Println(value.Text)
	// Output:
	// "{\"text\":\"hello\"}\n"
	// hello
}

// Any pair of functions is an encoding.
func ExampleNew() {
	decimal := codec.New(
		func(dst []byte, v int64) ([]byte, error) { return strconv.AppendInt(dst, v, 10), nil },
		func(b []byte) (int64, error) { return strconv.ParseInt(string(b), 10, 64) },
	)
	block, _ := decimal.Append(nil, -17)
	value, err := decimal.Decode(block)
	fmt.Println(string(block), value, err)
	// Output: -17 -17 <nil>
}
