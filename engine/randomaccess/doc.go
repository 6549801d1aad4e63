// Package randomaccess is the storage that feeds of the Hypercore family are
// kept in: named, growable sequences of bytes that are read and written at any
// offset. JavaScript calls it random-access storage.
//
// A feed of hypercore 9 needs six of them (data, tree, signatures, bitfield,
// key, secret_key) and gets them from an [Opener], a function from name to
// [Storage]. Three openers live here, and any function will do as a fourth:
//
//   - [Memory.Open]: sparse pages in memory, with a bound;
//   - [Directory.Open]: plain files in a directory, the layout that the npm
//     package random-access-file uses;
//   - [ReadOnly] and [Prefix]: wrappers around another opener.
//
// Package randomaccesstest has the conformance suite of the interface, an
// opener that injects faults and one that loses power.
//
// # Bytes
//
// A storage that was never written is an empty one: its size is 0 and reads
// end at once with io.EOF. There is no separate notion of existence, since
// every reader of these files treats "no file" and "empty file" alike. Writing
// past the end leaves a hole, which reads as zeros:
//
//	size 3        a b c
//	WriteAt(5)    a b c 0 0 d e        size 7
//
// Delete says that a range is not needed any more. It follows
// random-access-file 2: a range that reaches the end of the storage is cut off,
// any other range is left exactly as it is.
//
//	Delete(2, 3)  a b c 0 0 d e        not at the end: nothing happens
//	Delete(5, 9)  a b c 0 0            reaches the end: size 5
//
// # Locks
//
// A storage named bitfield, or something/bitfield, can be open once at a time.
// That is how two programs are kept from writing one feed: the directory takes
// an exclusive advisory lock on that file (flock on Unix, LockFile of the first
// byte on Windows) for as long as it is open, as the npm packages
// hypercore-default-storage and fsctl do, so that both sides respect each
// other. A second opening fails with [ErrLocked].
//
// # Durability
//
// A write is visible to later reads at once. It survives a loss of power only
// after a later Sync of the same storage; between two syncs writes may reach
// the disk in any order, in part, or not at all.
package randomaccess
