// Package randomaccesstest helps to test what implements and what uses
// [randomaccess.Storage].
//
//   - [Test] is the conformance suite: run it against every implementation.
//   - [Inject] wraps an opener so that chosen operations fail, or write only a
//     part of their bytes.
//   - [Disk] is an opener in memory that can lose power: [Disk.Crash] returns
//     the disk as it may be found afterwards.
package randomaccesstest
