package randomaccess_test

import (
	"fmt"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
)

func Example() {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	data, err := memory.Open("data")
	if err != nil {
		panic(err)
	}
	defer data.Close()

	data.WriteAt([]byte("hello"), 0)
	data.WriteAt([]byte("world"), 5)
	data.Delete(0, 5) // not at the end: nothing happens
	data.Delete(9, 1) // at the end: cut off

	p := make([]byte, 20)
	n, err := data.ReadAt(p, 0)
	fmt.Printf("%q %v\n", p[:n], err)
	// Output: "helloworl" EOF
}
