package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/cairn-feeds/cairn/replicate/wire"
)

func Example() {
	// Two messages and a keep-alive, as one write.
	var stream []byte
	stream = (&wire.Want{Start: 0, Length: 1 << 20}).AppendFrame(stream, 1)
	stream = append(stream, wire.KeepAlive)
	stream = (&wire.Request{Index: 3}).AppendFrame(stream, 1)
	fmt.Printf("%x\n", stream)

	// The other side: messages that arrive often are decoded into one struct.
	r := wire.NewReader(bytes.NewReader(stream))
	var request wire.Request
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		switch f.Type {
		case wire.TypeRequest:
			if err := request.Decode(f.Body); err != nil {
				log.Fatal(err)
			}
			fmt.Printf("channel %d: %v of block %d\n", f.Channel, f.Type, request.Index)
		default:
			m, err := wire.Decode(f)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("channel %d: %v %+v\n", f.Channel, f.Type, m)
		}
	}
	// Output:
	// 07150800108080400009170803100018002000
	// channel 1: Want &{Start:0 Length:1048576}
	// channel 1: Request of block 3
}

// A Reader's frames are valid until the next one is read. Those that are to
// live longer keep the memory that they are in.
func ExampleReader_Keep() {
	var stream []byte
	for i, block := range []string{"a", "batch", "of blocks"} {
		d := wire.Data{Index: uint64(i), Value: []byte(block), HasValue: true}
		stream = d.AppendFrame(stream, 1)
	}

	r := wire.NewReader(bytes.NewReader(stream))
	var batch [][]byte
	var kept []*wire.Buffer
	for len(batch) < 3 {
		f, err := r.Next()
		if err != nil {
			log.Fatal(err)
		}
		var d wire.Data
		if err := d.Decode(f.Body); err != nil {
			log.Fatal(err)
		}
		batch = append(batch, d.Value)
		kept = append(kept, r.Keep())
	}
	fmt.Printf("stored: %s\n", bytes.Join(batch, []byte(" ")))
	for _, b := range kept {
		b.Release()
	}
	// Output: stored: a batch of blocks
}
