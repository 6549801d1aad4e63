package main

import "github.com/cairn-feeds/cairn/tools/peers"

// comparison is one benchmark with its arguments for each side. The sides differ in counts only: each runs long enough to
// be measured and short enough to be run often.
type comparison struct {
	bench     string // its name on both sides
	what      string // what is done, for people
	peer      peers.Kind
	both      []string // arguments of both sides
	cairn     []string // further arguments of Cairn
	synced    []string // further arguments of Cairn's run with syncs; nil when nothing is written
	reference []string // further arguments of the JavaScript side
	figures   []figure
}

// figure is a number that a benchmark reports.
type figure struct {
	name  string // its property
	label string // what it says, for people; empty for what the comparison does
	unit  string
	less  bool // less is better
}

// comparisons are what the table shows, in its order.
var comparisons = []comparison{
	{
		bench: "append", what: "append 1 KiB, one at a time", peer: peers.Hypercore9,
		both:      []string{"--size", "1024", "--batch", "1"},
		cairn:     []string{"--count", "60000"},
		synced:    []string{"--count", "2000"},
		reference: []string{"--count", "15000"},
		figures:   []figure{{name: "append_per_s", unit: "/s"}},
	},
	{
		bench: "append", what: "append 1 KiB, batches of 1,000", peer: peers.Hypercore9,
		both:      []string{"--size", "1024", "--batch", "1000"},
		cairn:     []string{"--count", "500000"},
		synced:    []string{"--count", "200000"},
		reference: []string{"--count", "300000"},
		figures:   []figure{{name: "append_per_s", unit: "/s"}},
	},
	{
		bench: "get", what: "get 1 KiB at random, warm", peer: peers.Hypercore9,
		both:      []string{"--size", "1024", "--blocks", "20000"},
		cairn:     []string{"--count", "400000"},
		reference: []string{"--count", "40000"},
		figures: []figure{
			{name: "get1_per_s", label: "get 1 KiB at random, warm, one at a time", unit: "/s"},
			{name: "get_per_s", label: "get 1 KiB at random, warm, concurrently", unit: "/s"},
		},
	},
	{
		bench: "replicate", what: "replicate 1 KiB blocks, loopback TCP", peer: peers.Hypercore9,
		both:      []string{"--size", "1024"},
		cairn:     []string{"--count", "200000"},
		synced:    []string{"--count", "200000"},
		reference: []string{"--count", "20000"},
		figures:   []figure{{name: "replicate_blocks_per_s", unit: "/s"}},
	},
	{
		bench: "replicate", what: "replicate 64 KiB blocks, loopback TCP", peer: peers.Hypercore9,
		both:      []string{"--size", "65536"},
		cairn:     []string{"--count", "16000"},
		synced:    []string{"--count", "16000"},
		reference: []string{"--count", "4000"},
		figures:   []figure{{name: "replicate_mb_per_s", unit: " MB/s"}},
	},
	{
		bench: "many", what: "1,000 feeds of one block", peer: peers.Hypercore9,
		both:   []string{"--feeds", "1000"},
		synced: []string{},
		figures: []figure{
			{name: "create_per_s", label: "create a feed with one block", unit: "/s"},
			{name: "open_get_per_s", label: "open a feed and read its block", unit: "/s"},
			{name: "rss_mb", label: "1,000 feeds open: memory", unit: " MB", less: true},
			{name: "descriptors", label: "1,000 feeds open: descriptors", less: true},
		},
	},
	{
		bench: "multifeed", what: "multifeed: 1,000 feeds of 10 blocks, peer to peer", peer: peers.Hypercore9,
		both:   []string{"--feeds", "1000", "--blocks", "10"},
		synced: []string{},
		figures: []figure{
			{name: "feeds_per_s", unit: " feeds/s"},
			{name: "rss_mb", label: "multifeed: memory of both peers", unit: " MB", less: true},
		},
	},
	{
		bench: "dht", what: "hyperdht: a stream, and records in a network of 10 nodes", peer: peers.HyperDHT6,
		figures: []figure{
			{name: "stream_mb_per_s", label: "hyperdht stream, loopback", unit: " MB/s"},
			{name: "connect_ms", label: "hyperdht connect", unit: " ms", less: true},
			{name: "put_per_s", label: "hyperdht immutable put", unit: "/s"},
			{name: "lookup_per_s", label: "hyperdht immutable get", unit: "/s"},
		},
	},
}
