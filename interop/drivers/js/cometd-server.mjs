// CometD's server for Node, as its documentation sets it up: node cometd-server.mjs '{"port":8000}'
// It has no WebSockets. POST /publish/CHANNEL publishes the body, as the server's own application does.
import http from 'node:http';
import cometd from 'cometd-nodejs-server';

const { port } = JSON.parse(process.argv[2]);
const bayeux = cometd.createCometDServer({ maxSessionsPerBrowser: -1 });
const server = http.createServer((request, response) => {
  if (!request.url.startsWith('/publish/')) {
    bayeux.handle(request, response);
    return;
  }
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (part) => { body += part; });
  request.on('end', () => {
    const channel = bayeux.getServerChannel(request.url.slice('/publish'.length));
    channel?.publish(null, JSON.parse(body));
    response.writeHead(channel ? 200 : 404).end();
  });
});
server.keepAliveTimeout = 0; // a poll that is answered is asked again on the same connection, whenever that is
server.listen(port, '127.0.0.1');
