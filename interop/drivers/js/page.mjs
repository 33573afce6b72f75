// A page of another origin in Chromium, empty, in which emit() is what it is here. chromium is the program, page the page's origin.

import { createServer } from 'node:http';
import { emit } from './lines.mjs';

export async function openPage({ chromium: executablePath, page: origin }) {
  const { chromium } = await import('playwright-core');
  const files = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!DOCTYPE html><title>page</title>');
  });
  await new Promise((done) => files.listen(Number(new URL(origin).port), '127.0.0.1', done));
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const page = await browser.newPage();
  page.on('pageerror', (error) => emit('pageerror', { error: String(error) }));
  page.on('console', (message) => console.log(message.text()));
  await page.exposeFunction('emit', emit);
  await page.goto(origin);
  return page;
}
