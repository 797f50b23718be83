// An HTTP service in Node that answers with the caller it sees.
//
//   node examples/node/http.mjs --listen 127.0.0.1:8082 --trust cidr:127.0.0.0/8

import { createServer } from 'node:http'
import { flags } from './flags.mjs'
import { Malformed, Unavailable } from './identity.mjs'

const { host, port, identify, failed } = flags('http.mjs', 'An HTTP service that answers with the caller it sees.', '127.0.0.1:8082')

const challenge = (rest) => ({ 'www-authenticate': 'Bearer realm="api"' + rest })

// The status, the title and the fields of the answer to who is not known for an
// error, or for none where there was nothing to know anybody by.
function refusal(error) {
  if (!error) return [401, 'Unauthorized', challenge('')]
  if (error instanceof Unavailable) return [503, 'Service Unavailable', { 'retry-after': '1' }]
  if (error instanceof Malformed) return [400, 'Bad Request', challenge(', error="invalid_request"')]
  return [401, 'Unauthorized', challenge(', error="invalid_token"')]
}

function answer(response, status, body, fields) {
  response.writeHead(status, { 'content-type': 'application/json', ...fields }).end(JSON.stringify(body) + '\n')
}

async function handle(request, response) {
  let known, why
  try {
    known = await identify(request.headersDistinct, request.socket.remoteAddress)
  } catch (error) {
    console.error(error.message)
    why = error
  }
  if (!known) {
    const [status, title, fields] = refusal(why)
    return answer(response, status, { title }, fields)
  }
  const { caller } = known
  if (request.url === '/whoami') return answer(response, 200, caller)
  if (request.url !== '/admin') return answer(response, 404, { title: 'Not Found' })
  if (!caller.roles.includes('admin')) return answer(response, 403, { title: 'Forbidden' })
  answer(response, 200, caller)
}

// An error that nobody expected is one of this request, and does not end the
// program.
const server = createServer(async (request, response) => {
  try {
    await handle(request, response)
  } catch (error) {
    console.error(error)
    if (response.headersSent) return response.destroy()
    answer(response, 500, { title: 'Internal Server Error' })
  }
})

// Node drops fields after the first 1,000 without a word, and who sends them could
// choose which.
server.maxHeadersCount = 0

server.once('error', failed)
server.listen(port, host.replace(/^\[(.*)\]$/, '$1'), () => {
  console.log(`listening on ${host}:${server.address().port}`)
})
process.once('SIGTERM', () => {
  server.close()
  setTimeout(() => server.closeAllConnections(), 3000).unref() // some never finish their request
})
