'use strict'
// Benchmarks of hypercore 9 and multifeed 6, on feeds in directories.

const net = require('net')
const path = require('path')
const hypercore = require('hypercore')
const multifeed = require('multifeed')
const { promised, pattern } = require('../line')
const { run, timed, usage, pool } = require('../measure')

async function open (dir, key, options) {
  const feed = hypercore(dir, key, options)
  await promised(cb => feed.ready(cb))
  return feed
}

const append = (feed, blocks) => promised(cb => feed.append(blocks, cb))

// samples are blocks made beforehand, so that making them is not part of a measurement.
const samples = size => Array.from({ length: 251 }, (_, i) => pattern(i, size))

// fill appends count blocks in batches.
async function fill (feed, count, batch, blocks) {
  for (let at = 0; at < count; at += batch) {
    if (batch === 1) await append(feed, blocks[at % blocks.length])
    else await append(feed, Array.from({ length: Math.min(batch, count - at) }, (_, i) => blocks[(at + i) % blocks.length]))
  }
}

// join connects two replications over TCP on this machine.
async function join (left, right) {
  const server = net.createServer(socket => socket.pipe(left(false)).pipe(socket))
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const socket = net.connect(server.address().port, '127.0.0.1')
  socket.pipe(right(true)).pipe(socket)
  return () => { socket.destroy(); server.close() }
}

run({
  async append ({ count, size, batch }, dir) {
    const feed = await open(dir)
    const made = samples(size)
    const seconds = await timed(() => fill(feed, count, batch, made))
    return { append_per_s: count / seconds, append_mb_per_s: count * size / seconds / 1e6, ...usage() }
  },

  // get reads at random: one at a time, then sixty-four at a time.
  async get ({ count, size, blocks }, dir) {
    const feed = await open(dir)
    await fill(feed, blocks, 1000, samples(size))
    const one = () => promised(cb => feed.get(Math.floor(Math.random() * blocks), cb))
    await pool(blocks, 64, i => promised(cb => feed.get(i, cb))) // warm
    const alone = await timed(() => pool(count, 1, one))
    const together = await timed(() => pool(count, 64, one))
    return { get1_per_s: count / alone, get_per_s: count / together, ...usage() }
  },

  // many creates feeds of one block, eight at a time; opens them all again and reads that block; and says what it takes
  // to have them all open.
  async many ({ feeds, size }, dir) {
    const at = i => path.join(dir, String(i))
    const made = samples(size)
    const all = []
    const created = await timed(() => pool(feeds, 8, async i => {
      all[i] = await open(at(i))
      await append(all[i], made[i % made.length])
    }))
    await pool(feeds, 8, i => promised(cb => all[i].close(cb)))
    const opened = await timed(() => pool(feeds, 8, async i => {
      all[i] = await open(at(i))
      await promised(cb => all[i].get(0, cb))
    }))
    return { create_per_s: feeds / created, open_get_per_s: feeds / opened, ...usage() }
  },

  // replicate is from connecting to the last block being written.
  async replicate ({ count, size }, dir) {
    const from = await open(path.join(dir, 'from'))
    await fill(from, count, 1000, samples(size))
    const to = await open(path.join(dir, 'to'), from.key)
    let leave
    const seconds = await timed(async () => {
      const whole = new Promise(resolve => to.on('sync', () => to.length === count && resolve()))
      leave = await join(initiator => from.replicate(initiator, { live: true }), initiator => to.replicate(initiator, { live: true }))
      await whole
    })
    leave()
    return { replicate_blocks_per_s: count / seconds, replicate_mb_per_s: count * size / seconds / 1e6, ...usage() }
  },

  // multifeed moves a set of feeds to an empty set.
  async multifeed ({ feeds, blocks, size }, dir) {
    const from = multifeed(path.join(dir, 'from'))
    const to = multifeed(path.join(dir, 'to'))
    await Promise.all([from, to].map(set => new Promise(resolve => set.ready(resolve))))
    const made = samples(size)
    for (let i = 0; i < feeds; i++) {
      const [feed] = await promised(cb => from.writer('writer-' + i, cb))
      await fill(feed, blocks, blocks, made)
    }
    let missing = feeds
    const seconds = await timed(async () => {
      const whole = new Promise(resolve => to.on('feed', feed => {
        const check = () => {
          if (feed.length < blocks || feed.downloaded() < blocks) return
          feed.off('download', check)
          if (--missing === 0) resolve()
        }
        feed.on('download', check)
      }))
      await join(initiator => from.replicate(initiator, { live: true }), initiator => to.replicate(initiator, { live: true }))
      await whole
    })
    return { feeds_per_s: feeds / seconds, ...usage() }
  }
}, { count: 10000, size: 1024, batch: 1, feeds: 1000, blocks: 10000 })
