// Package demand keeps what a feed is waiting for: single blocks, a longer
// length, byte offsets and ranges of blocks.
//
// A feed adds an [Item] when a caller has to wait and settles it when a change
// made it true; whatever can ask others for blocks reads the items and goes to
// fetch them. Neither side knows the other. The package does no I/O, starts no
// goroutine and reads no clock.
//
//	caller --Add--> Demand --Urgent, Ranges--> sources (replication)
//	caller <-Done-- Demand <--Settle---------- feed (after each change)
//
// # Priority
//
// Gets, updates and seeks are urgent: somebody stands and waits. Ranges are
// downloads in the background and come after everything urgent.
//
// # Sources
//
// An item with IfAvailable gives up when nobody can bring it. Each source (a
// connection, for instance) attaches itself, counts the answers it is still
// waiting for, and tells whether what it knows by now could satisfy an item. When
// no source has an answer outstanding and none can satisfy the item, the item
// fails with [ErrNotAvailable]; with no source at all it fails at once.
package demand
