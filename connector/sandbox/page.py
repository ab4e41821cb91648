"""The page at ``/``: tells a person with a browser what this is and how to call it."""

from html import escape

from connector.sandbox.world import World

_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Pipedrive sandbox</title></head>
<body style="font: 16px/1.5 system-ui; max-width: 48rem; margin: 2rem auto; padding: 0 1rem">
<h1>Pipedrive sandbox</h1>
<p>A local emulator of the company {domain}; nothing here reaches the real Pipedrive.</p>
<pre>curl -H "x-api-token: {token}" {url}/api/v2/persons</pre>
<table cellpadding="4"><tr><th align="left">user</th><th align="left">x-api-token</th></tr>{users}</table>
<p>Records: {counts}.</p>
<p>Control: <a href="/sandbox/stats">stats</a>, <a href="/sandbox/tokens">tokens</a>,
<a href="/sandbox/settings">settings</a>, <a href="/sandbox/faults">faults</a>,
<a href="/sandbox/webhooks">webhooks</a>.</p></body></html>
"""


def render(world: World, url: str) -> bytes:
    """Give the page."""
    users = list(world.users.values())
    rows = "".join(f"<tr><td>{escape(user.name)}</td><td><code>{user.token}</code></td></tr>" for user in users)
    counts = ", ".join(f"{len(table)} {entity}" for entity, table in world.tables.items())
    page = _PAGE.format(domain=world.domain, token=users[0].token, url=escape(url), users=rows, counts=counts)
    return page.encode()
