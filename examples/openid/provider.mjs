// An OpenID provider to try the gateway with: oidc-provider, which is certified,
// with the clients and resources of settings.mjs. It accepts any user name.
//
//   node provider.mjs [--listen 127.0.0.1:9000] [--tls PEM --ca PEM] [--client PEM]
//
// A line on standard input names its signing keys, the one to sign with first; a
// name stands for the same keys as long as the process runs. It ends with its
// standard input, so that it outlives nobody who started it.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';
import { settings } from './settings.mjs';

const help = `An OpenID provider that accepts any user name and password.

  node examples/openid/provider.mjs --listen 127.0.0.1:9000

Flags:
  --listen HOST:PORT  serve there; port 0 takes a free one (default 127.0.0.1:9000)
  --tls PEM           serve https with this file: certificate and key
  --ca PEM            with --tls: who vouches for clients with certificates
  --client PEM        with --tls: the certificate of the client that nobody vouches for
  -h, --help          print this

It ends with its standard input, on which a line names its signing keys.`;

function readFlags() {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string', default: '127.0.0.1:9000' },
      tls: { type: 'string' },
      ca: { type: 'string' },
      client: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [, host, port] = /^(.+):(\d+)$/.exec(values.listen) ?? [];
  if (!(port <= 65535)) throw new Error(`--listen ${values.listen}: want HOST:PORT`);
  return { ...values, host, port: Number(port) };
}

let flags;
try {
  flags = readFlags();
} catch (error) {
  console.error(`provider.mjs: ${error.message}\nprovider.mjs --help explains the flags`);
  process.exit(2);
}
if (flags.help) {
  console.log(help);
  process.exit(0);
}

const pem = (file) => file && readFileSync(file);
const secure = flags.tls !== undefined;
const server = secure
  // Who needs a certificate that somebody vouches for, and who does not, is the
  // provider's to say.
  ? https.createServer({
    cert: pem(flags.tls), key: pem(flags.tls), ca: pem(flags.ca), requestCert: true, rejectUnauthorized: false,
  })
  : http.createServer();

const made = new Map();
function keysNamed(name) {
  if (!made.has(name)) {
    const pairs = [['rsa', { modulusLength: 2048 }], ['ec', { namedCurve: 'P-256' }], ['ed25519']];
    made.set(name, pairs.map(([kind, options]) => ({
      ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
      kid: `${name}-${kind}`,
      use: 'sig',
    })));
  }
  return made.get(name);
}

let answer;
server.on('request', (req, res) => answer(req, res));

// sign makes the provider anew with other keys; what it has issued is kept
// outside of it.
function sign(issuer, names) {
  const provider = new Provider(issuer, settings({ keys: names.flatMap(keysNamed), client: pem(flags.client), secure }));
  for (const event of ['server_error', 'grant.error', 'introspection.error', 'revocation.error']) {
    provider.on(event, (_, err) => console.error(event, err.error_detail ?? err));
  }
  answer = provider.callback();
}

server.listen(flags.port, flags.host.replace(/^\[(.*)\]$/, '$1'), () => {
  const issuer = `${secure ? 'https' : 'http'}://${flags.host}:${server.address().port}`;
  sign(issuer, ['first']);
  console.log(`listening on ${issuer}`);
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      sign(issuer, line.trim().split(/ +/));
      console.log(`signing with ${line}`);
    })
    .on('close', () => process.exit());
});
