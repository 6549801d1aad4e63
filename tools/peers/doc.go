// Package peers runs the JavaScript implementations that Cairn speaks to, so that tests of other packages can talk to a
// real one.
//
// Each [Kind] is a directory with a package.json, its lock file and a driver, peer.js. [Start] runs the driver as a child
// process for the length of a test:
//
//	p := peers.Start(t, peers.Hypercore9)
//	p.Do(t, "open", peers.Args{"id": "a"})
//	p.Do(t, "append", peers.Args{"id": "a", "blocks": []string{peers.Hex(block)}})
//	port := p.Do(t, "listen", peers.Args{"feeds": []string{"a"}}).Int("port")
//	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
//	...
//	p.Await(t, "stream-end", peers.Args{"s": 1})
//
// # Installing
//
// "make peers" installs the packages with npm ci. Where node or the packages are missing, Start skips the test with one
// line that says how to get them; with CAIRN_PEERS=required in the environment, as in CI, it fails the test instead.
//
// # Protocol
//
// Driver and test exchange JSON objects, one a line. Bytes travel as hex.
//
//	test -> driver    {"n": 1, "cmd": "get", "id": "a", "index": 3}     a command with its arguments
//	driver -> test    {"n": 1, "ok": true, "value": "00ff"}             its answer, with results
//	driver -> test    {"n": 1, "error": "...", "code": "..."}           or what went wrong; code may be absent
//	driver -> test    {"ev": "download", "id": "a", "index": 3}         an event, at any time
//
// Commands run at once and may be answered in any order. The first line of a driver is the event ready. An exception that
// nobody caught is the event uncaught. Closing stdin ends a driver.
//
// The commands of a kind are the functions that its peer.js passes to serve, and its arguments are the properties that
// they read. Things that live on in a driver (feeds, swarms, nodes) have names that the test chooses; streams, sockets and
// connections are numbered by the driver in the order in which they came to be.
//
// Content that both sides can make, see [Pattern], keeps large transfers out of these pipes.
package peers
