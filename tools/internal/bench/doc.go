// Package bench measures package engine the way that its users meet it: through its exported interface, on a store on disk.
//
// Figures have the names that scripts rely on; rates are per second, MB are 10^6 bytes.
//
//	append   append_per_s, append_mb_per_s        blocks appended to one feed, Options.Batch at a time
//	get      get1_per_s, get_per_s                blocks read at random from a feed that fits in the caches,
//	                                              by one reader and by GOMAXPROCS
//	many     create_per_s, open_get_per_s         feeds of one block created by eight goroutines; then, in a store
//	                                              that was opened anew, all of them opened, each read once, and all kept open
//	replicate replicate_blocks_per_s,             blocks of one feed from a store to another, both in this process,
//	         replicate_mb_per_s                   over TCP on the loopback, each verified and stored
//	all      rss_mb, descriptors                  what the process holds at the end; for many, with all feeds open
//
// The clock runs for nothing but the calls that are measured: making the blocks beforehand, filling the feed that is read,
// and closing the store are not part of a figure.
package bench
