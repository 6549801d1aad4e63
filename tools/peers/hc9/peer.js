'use strict'
// Reference peer of hypercore 9 and multifeed 6.

const crypto = require('crypto')
const net = require('net')
const hypercore = require('hypercore')
const multifeed = require('multifeed')
const ram = require('random-access-memory')
const { serve, event, hex, unhex, promised, pattern, must } = require('../line')

const feeds = new Map() // by the name that the test chose
const sets = new Map()
const selections = new Map() // downloads that may be undone, by "feed/selection"
const extensions = new Map() // by "feed/extension"
const streams = new Map() // replication streams, by number
const servers = new Map() // by port
let lastStream = 0

const feed = m => must(feeds, 'feed', m.id)
const keyPair = k => k && { publicKey: unhex(k.publicKey), secretKey: unhex(k.secretKey) }
// A decoded value (utf-8, json) travels as it is.
const plainValue = v => Buffer.isBuffer(v) ? hex(v) : v
const plainNode = n => ({ index: n.index, hash: hex(n.hash), size: n.size })

const info = f => ({
  key: hex(f.key),
  discoveryKey: hex(f.discoveryKey),
  secretKey: hex(f.secretKey),
  length: f.length,
  byteLength: f.byteLength,
  writable: f.writable,
  readable: f.readable,
  remoteLength: f.remoteLength,
  peers: f.peers.length,
  downloaded: f.bitfield ? f.downloaded() : 0,
  stats: f.stats
})

// quiet leaves out the events that come once per block.
function watch (id, f, quiet) {
  f.on('error', e => event('error', { id, error: e.message }))
  f.on('append', () => event('append', { id, length: f.length, byteLength: f.byteLength }))
  f.on('sync', () => event('sync', { id }))
  f.on('close', () => event('close', { id }))
  for (const name of ['peer-add', 'peer-open', 'peer-remove', 'remote-update']) f.on(name, () => event(name, { id }))
  if (quiet) return
  f.on('download', (index, data) => event('download', { id, index, size: data ? data.length : 0 }))
  f.on('upload', index => event('upload', { id, index }))
}

// Functions cannot travel in JSON: refuse and refuseFeeds stand for the two authentication hooks.
function replicateOptions (m) {
  const options = { live: !!m.live, ack: !!m.ack, ...m.opts }
  if (m.keyPair) options.keyPair = keyPair(m.keyPair)
  if (m.refuse) options.onauthenticate = (key, done) => done(new Error('refused by the test'))
  if (m.refuseFeeds) {
    const keys = new Set(m.refuseFeeds.map(id => hex(must(feeds, 'feed', id).key)))
    options.onfeedauthenticate = (f, key, done) => done(keys.has(hex(f.key)) ? new Error('refused by the test') : null)
  }
  return options
}

function replicate (socket, initiator, m) {
  const options = replicateOptions(m)
  let stream
  if (m.multi !== undefined) {
    stream = must(sets, 'multifeed', m.multi).replicate(initiator, options)
  } else {
    const [first, ...rest] = m.feeds.map(id => must(feeds, 'feed', id))
    stream = first.replicate(initiator, options)
    for (const f of rest) f.replicate(stream, options)
  }
  const s = ++lastStream
  streams.set(s, { stream, options })
  stream.on('handshake', () => event('handshake', { s, publicKey: hex(stream.publicKey), remotePublicKey: hex(stream.remotePublicKey) }))
  stream.on('discovery-key', key => event('discovery-key', { s, key: hex(key) }))
  stream.on('ack', ack => event('ack', { s, start: ack.start, length: ack.length }))
  stream.on('remote-feeds', () => event('remote-feeds', { s }))
  stream.on('end', () => event('stream-end', { s }))
  stream.on('close', () => { streams.delete(s); event('stream-close', { s }) })
  stream.on('error', e => event('stream-error', { s, error: e.message, code: e.code, usVersion: e.usVersion, themVersion: e.themVersion, usClient: e.usClient, themClient: e.themClient }))
  socket.on('error', () => stream.destroy())
  socket.on('close', () => { if (!stream.destroyed) stream.destroy() })
  socket.pipe(stream).pipe(socket)
  return s
}

async function readAll (options, f) {
  const digest = crypto.createHash('sha256')
  let blocks = 0
  let bytes = 0
  for await (const block of f.createReadStream({ valueEncoding: 'binary', ...options })) {
    digest.update(block)
    blocks++
    bytes += block.length
  }
  return { sha256: digest.digest('hex'), blocks, bytes }
}

serve({
  async open (m) {
    const options = { ...m.opts, secretKey: unhex(m.secretKey), noiseKeyPair: keyPair(m.noiseKeyPair) }
    const f = hypercore(m.dir || ram, unhex(m.key) || null, options)
    watch(m.id, f, m.quiet)
    await promised(cb => f.ready(cb))
    feeds.set(m.id, f)
    return info(f)
  },
  info: m => info(feed(m)),
  async append (m) {
    const blocks = m.blocks.map(unhex)
    const [seq] = await promised(cb => feed(m).append(m.single ? blocks[0] : blocks, cb))
    return { seq, ...info(feed(m)) }
  },
  // fill appends count blocks of size bytes that the test can make itself: block i is pattern(i, size).
  async fill (m) {
    const f = feed(m)
    const end = f.length + m.count
    while (f.length < end) {
      const blocks = []
      for (let i = f.length; i < Math.min(end, f.length + (m.batch || 1000)); i++) blocks.push(pattern(i, m.size))
      await promised(cb => f.append(blocks, cb))
    }
    return info(f)
  },
  async get (m) { return { value: plainValue((await promised(cb => feed(m).get(m.index, m.opts || {}, cb)))[0]) } },
  async getBatch (m) { return { values: (await promised(cb => feed(m).getBatch(m.start, m.end, m.opts || {}, cb)))[0].map(plainValue) } },
  async head (m) { return { value: plainValue((await promised(cb => feed(m).head(m.opts || {}, cb)))[0]) } },
  // read digests the blocks of a read stream, so that long feeds are compared without sending them.
  read: m => readAll(m.opts, feed(m)),
  has: m => ({ has: m.end === undefined ? feed(m).has(m.index === undefined ? m.start : m.index) : feed(m).has(m.start, m.end) }),
  downloaded: m => ({ downloaded: feed(m).downloaded(m.start, m.end) }),
  async update (m) { await promised(cb => feed(m).update(m.opts || {}, cb)); return info(feed(m)) },
  async seek (m) { const [index, offset] = await promised(cb => feed(m).seek(m.bytes, m.opts || {}, cb)); return { index, offset } },
  async download (m) {
    await promised(cb => {
      const selection = feed(m).download(m.range, cb)
      if (m.selection) selections.set(m.id + '/' + m.selection, selection)
    })
    return info(feed(m))
  },
  undownload (m) { feed(m).undownload(must(selections, 'selection', m.id + '/' + m.selection)) },
  async clear (m) { await promised(cb => feed(m).clear(m.start, m.end, cb)); return info(feed(m)) },
  async audit (m) { return (await promised(cb => feed(m).audit(cb)))[0] },
  async signature (m) {
    const [s] = await promised(cb => m.index === undefined ? feed(m).signature(cb) : feed(m).signature(m.index, cb))
    return { index: s.index, signature: hex(s.signature) }
  },
  async verify (m) { return { valid: (await promised(cb => feed(m).verify(m.index, unhex(m.signature), cb)))[0] } },
  async rootHashes (m) { return { roots: (await promised(cb => feed(m).rootHashes(m.index, cb)))[0].map(plainNode) } },
  async proof (m) {
    const [p] = await promised(cb => feed(m).proof(m.index, m.opts || {}, cb))
    return { nodes: p.nodes.map(plainNode), signature: hex(p.signature) }
  },
  digest: m => ({ digest: feed(m).digest(m.index) }),
  async put (m) {
    const proof = { nodes: m.nodes.map(n => ({ ...n, hash: unhex(n.hash) })), signature: unhex(m.signature) || null }
    await promised(cb => feed(m).put(m.index, unhex(m.value) || null, proof, cb))
    return info(feed(m))
  },
  setDownloading (m) { feed(m).setDownloading(m.value) },
  setUploading (m) { feed(m).setUploading(m.value) },
  stats: m => ({ stats: feed(m).stats }),
  async close (m) { await promised(cb => feed(m).close(cb)); feeds.delete(m.id) },
  async destroyStorage (m) { await promised(cb => feed(m).destroyStorage(cb)); feeds.delete(m.id) },

  extension (m) {
    const { id, name } = m
    extensions.set(id + '/' + name, feed(m).registerExtension(name, {
      encoding: m.encoding || 'binary',
      onmessage: data => event('extension', { id, name, data: plainValue(data) }),
      onerror: e => event('extension-error', { id, name, error: e.message })
    }))
  },
  broadcast (m) {
    const data = m.text === undefined ? unhex(m.data) : m.text
    return { sent: must(extensions, 'extension', m.id + '/' + m.name).broadcast(data) }
  },

  async listen (m) {
    const server = net.createServer(socket => event('connected', { s: replicate(socket, false, m) }))
    await new Promise((resolve, reject) => server.once('error', reject).listen(m.port || 0, '127.0.0.1', resolve))
    const { port } = server.address()
    servers.set(port, server)
    return { port }
  },
  unlisten (m) { must(servers, 'server', m.port).close() },
  async connect (m) {
    const socket = net.connect(m.port, '127.0.0.1')
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return { s: replicate(socket, true, m) }
  },
  // add puts one more feed on a stream that is already running.
  add (m) {
    const { stream, options } = must(streams, 'stream', m.s)
    feed(m).replicate(stream, options)
  },
  endStream (m) { must(streams, 'stream', m.s).stream.destroy() },

  async multi (m) {
    const options = { ...m.opts }
    const set = multifeed(m.dir || ram, options)
    set.on('error', e => event('error', { id: m.id, error: e.message }))
    set.on('feed', (f, name) => {
      const id = m.id + '/' + hex(f.key)
      feeds.set(id, f)
      watch(id, f, m.quiet)
      event('feed', { id: m.id, feed: id, name, key: hex(f.key) })
    })
    await new Promise(resolve => set.ready(resolve))
    sets.set(m.id, set)
    return { feeds: set.feeds().map(info) }
  },
  async writer (m) {
    const options = m.keypair ? { keypair: keyPair(m.keypair) } : {}
    const [f, name] = await promised(cb => must(sets, 'multifeed', m.id).writer(m.name, options, cb))
    return { feed: m.id + '/' + hex(f.key), name, ...info(f) }
  },
  feeds: m => ({ feeds: must(sets, 'multifeed', m.id).feeds().map(info) }),
  async closeMulti (m) { await promised(cb => must(sets, 'multifeed', m.id).close(cb)); sets.delete(m.id) }
})
