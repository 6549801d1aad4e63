package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/cairn-feeds/cairn/tree"
)

// The tables of the key space: the first byte of every key. See the package
// comment for the layout of keys and values.
const (
	tableStore    = 0x00
	tableFeeds    = 0x01
	tableHeads    = 0x02
	tableSecrets  = 0x03
	tableNames    = 0x04
	tableSets     = 0x05
	tableStatic   = 0x06
	tableEvidence = 0x07
	tableLimits   = 0x08
	tableData     = 0x40
	// tableReserved and above belong to those who embed the store.
	tableReserved = 0x80
)

// Kinds of rows in tableData, in the order in which they are stored for a feed.
const (
	kindMap        = 0x01 // page of the block map; index = page number
	kindNodeGroup  = 0x02 // the nodes of a complete subtree; index = its number
	kindNode       = 0x03 // one node; index = flat-tree index
	kindSignature  = 0x04 // index = last block that is covered
	kindBlockGroup = 0x05 // consecutive blocks; index = number of the group
	kindBlock      = 0x06 // one block; index = block number
	kindEnd        = 0x07 // no rows: the end of the last kind
)

// feedNumber is the number of a feed within its store. Numbers are never used
// twice.
type feedNumber uint64

// dataKeySize is the length of a key of tableData.
const dataKeySize = 1 + 8 + 1 + 8

// dataKey is the key of a row of feed data.
func dataKey(n feedNumber, kind byte, index uint64) [dataKeySize]byte {
	var k [dataKeySize]byte
	k[0] = tableData
	binary.BigEndian.PutUint64(k[1:], uint64(n))
	k[9] = kind
	binary.BigEndian.PutUint64(k[10:], index)
	return k
}

// dataSpan returns the bounds of all rows of a feed, end exclusive.
func dataSpan(n feedNumber) (start, end []byte) {
	s := dataKey(n, 0, 0)
	e := dataKey(n, 0xff, 0)
	return s[:], e[:]
}

// parseDataKey is the inverse of dataKey.
func parseDataKey(k []byte) (n feedNumber, kind byte, index uint64, err error) {
	if len(k) != dataKeySize || k[0] != tableData {
		return 0, 0, 0, fmt.Errorf("row key %x: %w", k, ErrCorrupt)
	}
	return feedNumber(binary.BigEndian.Uint64(k[1:])), k[9], binary.BigEndian.Uint64(k[10:]), nil
}

// numberKey is the key of a row of a table that is ordered by feed number.
func numberKey(table byte, n feedNumber) []byte {
	return binary.BigEndian.AppendUint64([]byte{table}, uint64(n))
}

// parseNumberKey is the inverse of numberKey.
func parseNumberKey(table byte, k []byte) (feedNumber, error) {
	if len(k) != 9 || k[0] != table {
		return 0, fmt.Errorf("row key %x: %w", k, ErrCorrupt)
	}
	return feedNumber(binary.BigEndian.Uint64(k[1:])), nil
}

// catalogKey is the key of a feed's record.
func catalogKey(dk tree.DiscoveryKey) []byte {
	return append([]byte{tableFeeds}, dk[:]...)
}

// nameKey is the key of a local name.
func nameKey(name string) []byte {
	return append([]byte{tableNames}, name...)
}

// storeKey is the key of a row about the store as a whole.
func storeKey(name string) []byte {
	return append([]byte{tableStore}, name...)
}

// tableSpan returns the bounds of a whole table, end exclusive.
func tableSpan(table byte) (start, end []byte) {
	return []byte{table}, []byte{table + 1}
}
