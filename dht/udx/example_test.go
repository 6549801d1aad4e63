package udx_test

import (
	"fmt"
	"io"
	"log"
	"net"

	"github.com/cairn-feeds/cairn/dht/udx"
)

// Two streams in one process. Their ids, 1 and 2, would be exchanged elsewhere.
func Example() {
	m := udx.New(nil)
	defer m.Close()
	bind := func() *udx.Socket {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			log.Fatal(err)
		}
		sock, err := m.Attach(conn, nil)
		if err != nil {
			log.Fatal(err)
		}
		return sock
	}
	here, there := bind(), bind()

	a, _ := m.NewStream(&udx.StreamOptions{ID: 1})
	b, _ := m.NewStream(&udx.StreamOptions{ID: 2})
	if err := b.Connect(there, udx.Remote{ID: 1, Addr: here.AddrPort()}); err != nil {
		log.Fatal(err)
	}
	if err := a.Connect(here, udx.Remote{ID: 2, Addr: there.AddrPort()}); err != nil {
		log.Fatal(err)
	}

	fmt.Fprint(a, "hello")
	a.CloseWrite()
	text, _ := io.ReadAll(b)
	fmt.Printf("%s\n", text)

	fmt.Fprint(b, "goodbye")
	b.Close()
	text, _ = io.ReadAll(a)
	fmt.Printf("%s\n", text)
	<-a.Done()
	fmt.Println(a.Err())
	// Output:
	// hello
	// goodbye
	// <nil>
}
