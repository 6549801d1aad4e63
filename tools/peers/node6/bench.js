'use strict'
// Benchmarks of hyperdht 6: a network of ten nodes on this machine.

const createTestnet = require('hyperdht/testnet')
const { pattern } = require('../line')
const { run, timed, usage, pool } = require('../measure')

const opened = socket => new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))

run({
  // dht connects, moves count pieces of size bytes through one stream, and puts and gets records one at a time.
  async dht ({ count, size, records }) {
    const net = await createTestnet(10, { host: '127.0.0.1' })
    const a = net.createNode()
    const b = net.createNode()
    await Promise.all([a.fullyBootstrapped(), b.fullyBootstrapped()])

    let received = 0
    let whole
    const server = a.createServer(socket => {
      socket.on('error', () => {})
      socket.on('data', data => { if ((received += data.length) === count * size) whole() })
    })
    await server.listen()

    const times = []
    for (let i = 0; i < 20; i++) {
      times.push(await timed(async () => {
        const socket = b.connect(server.publicKey)
        await opened(socket)
        socket.destroy()
      }))
    }
    times.sort((x, y) => x - y)

    const socket = b.connect(server.publicKey)
    await opened(socket)
    const piece = pattern(0, size)
    const streamed = await timed(async () => {
      const done = new Promise(resolve => { whole = resolve })
      for (let i = 0; i < count; i++) if (!socket.write(piece)) await new Promise(resolve => socket.once('drain', resolve))
      await done
    })
    socket.destroy()

    const hashes = []
    const put = await timed(() => pool(records, 8, async i => { hashes[i] = (await a.immutablePut(Buffer.from('record ' + i))).hash }))
    const got = await timed(() => pool(records, 8, async i => { if (!await b.immutableGet(hashes[i])) throw new Error('record ' + i + ' is lost') }))
    return { connect_ms: times[times.length >> 1] * 1000, stream_mb_per_s: count * size / streamed / 1e6, put_per_s: records / put, lookup_per_s: records / got, ...usage() }
  }
}, { count: 2000, size: 65536, records: 1000 })
