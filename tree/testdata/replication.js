// Makes replication.json: random exchanges between a growing feed, sparse
// replicas of it and each other, as hypercore 9 answers them.
//
//   NODE_PATH=../../tools/peers/hc9/node_modules node replication.js > replication.json

const hypercore = require('hypercore')
const crypto = require('hypercore-crypto')
const ram = require('random-access-memory')
const { promisify } = require('util')

let state = 1
function random (n) { // xorshift32, so that the file can be made again
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % n
}

const seed = Buffer.alloc(32, 7)
const { publicKey, secretKey } = crypto.keyPair(seed)

async function scenario (steps) {
  const feeds = [hypercore(ram, publicKey, { secretKey })]
  for (let i = 0; i < 3; i++) feeds.push(hypercore(ram, publicKey, { sparse: true }))
  for (const feed of feeds) await promisify(feed.ready.bind(feed))()

  const blocks = []
  const log = []
  for (let i = 0; i < steps; i++) {
    const writer = feeds[0]
    if (!writer.length || random(6) === 0) {
      const sizes = Array.from({ length: 1 + random(random(3) ? 4 : 20) }, () => random(40))
      for (const n of sizes) blocks.push(Buffer.alloc(n, blocks.length))
      await promisify(writer.append.bind(writer))(blocks.slice(writer.length))
      log.push({ append: sizes })
      continue
    }
    const reader = 1 + random(3)
    const from = random(4)
    if (from === reader) continue
    const candidates = []
    for (let b = 0; b < feeds[from].length; b++) if (feeds[from].has(b)) candidates.push(b)
    if (!candidates.length) continue
    const block = candidates[random(candidates.length)]
    const hash = random(3) === 0
    const digest = random(5) ? feeds[reader].digest(block) : 0
    const step = { reader, from, block, hash, digest }
    log.push(step)
    const proof = await promisify(feeds[from].proof.bind(feeds[from]))(block, { digest, hash })
    step.nodes = proof.nodes.map(n => n.index)
    step.signature = proof.signature && proof.signature.toString('hex')
    await promisify(feeds[reader].put.bind(feeds[reader]))(block, hash ? null : blocks[block], proof)
    step.length = feeds[reader].length
    step.byteLength = feeds[reader].byteLength
  }

  const replicas = feeds.slice(1).map(function (feed) {
    const known = []
    for (let i = 0; i < 2 * feeds[0].length; i++) if (feed.tree.get(i)) known.push(i)
    return {
      known,
      blocks: feed.tree.blocks(),
      verifiedBy: known.map(i => feed.tree.verifiedBy(i)),
      digests: Array.from({ length: feeds[0].length }, (_, b) => feed.digest(b))
    }
  })
  for (const feed of feeds) await promisify(feed.close.bind(feed))()
  return { steps: log, replicas }
}

async function main () {
  const scenarios = []
  for (let i = 0; i < 24; i++) scenarios.push(await scenario(30))
  const lines = scenarios.map(s => JSON.stringify(s)).join(',\n')
  console.log(`{"seed":"${seed.toString('hex')}","scenarios":[\n${lines}\n]}`)
}

main()
