package compact_test

import (
	"fmt"
	"net/netip"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// A relay address with a name and a number, written and read back.
func Example() {
	b := compact.AppendString(nil, "relay")
	b = compact.AppendUint(b, 300)
	b = compact.AppendIPv4Address(b, netip.MustParseAddrPort("127.0.0.1:49737"))
	fmt.Printf("%x\n", b)

	d := compact.NewDecoder(b)
	name, number, addr := d.String(), d.Uint(), d.IPv4Address()
	if err := d.Err(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(name, number, addr)

	d = compact.NewDecoder(b[:len(b)-1])
	_, _, _ = d.String(), d.Uint(), d.IPv4Address()
	fmt.Println(d.Err())
	// Output:
	// 0572656c6179fd2c017f00000149c2
	// relay 300 127.0.0.1:49737
	// compact: ipv4 address at byte 9: out of bounds
}
