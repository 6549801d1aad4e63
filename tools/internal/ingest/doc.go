// Package ingest turns a stream of bytes into batches of blocks for a feed.
//
// Reading and committing overlap: while a batch is being committed, the next one is read. A batch is handed over when
//
//   - the input has nothing more at the moment, so that who types, or waits for an answer, gets it at once,
//   - it is as large as [Options.BatchBytes] or [Options.BatchBlocks] say, so that a fast input costs few commits, or
//   - its first block has waited for [Options.Linger], so that a slow input that never pauses does not wait for long.
//
// Whatever arrives during a commit becomes the next batch, up to the same bounds; then reading waits. So the memory in use
// is two batches and one block, however long the input is.
package ingest
