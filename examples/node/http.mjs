// An HTTP service in Node that answers with the caller it sees.
//
//   node examples/node/http.mjs --listen 127.0.0.1:8082 --trust cidr:127.0.0.0/8

import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { Malformed, trust } from './identity.mjs'

const { values: flags } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8082' },
    trust: { type: 'string' },
    'trust-domain': { type: 'string', default: 'authctx.local' },
  },
})
const identify = trust(flags.trust, flags['trust-domain'])

const server = createServer(async (request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body) + '\n')
  }
  let known
  try {
    known = await identify(request.headersDistinct, request.socket.remoteAddress)
  } catch (error) {
    console.error(error.message)
    if (error instanceof Malformed) return answer(400, { title: 'Bad Request' })
  }
  if (!known) return answer(401, { title: 'Unauthorized' })
  const { caller } = known
  if (request.url === '/whoami') return answer(200, caller)
  if (request.url !== '/admin') return answer(404, { title: 'Not Found' })
  if (!caller.roles.includes('admin')) return answer(403, { title: 'Forbidden' })
  answer(200, caller)
})

// Node drops fields after the first 1,000 without a word, and who sends them could
// choose which.
server.maxHeadersCount = 0

const [, host, port] = /^(.*):(\d+)$/.exec(flags.listen)
server.listen(Number(port), host, () => {
  console.log(`listening on ${server.address().address}:${server.address().port}`)
})
process.once('SIGTERM', () => server.close())
