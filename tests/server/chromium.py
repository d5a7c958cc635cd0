"""chromium.py - a headless Chromium driven through the DevTools protocol over two pipes; no package beside Python's own.

    with Browser() as browser:
        page = browser.open("http://127.0.0.1:7860/", 1440, 900)
        page.click("#render")

Keys, pointers and drops go in as the browser's own input events, so what the page does is what it does for people."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

KEYS = {  # name: (code, virtual key code, text)
    "Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), " ": ("Space", 32, " "),
    "ArrowLeft": ("ArrowLeft", 37, ""), "ArrowUp": ("ArrowUp", 38, ""), "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""), "Home": ("Home", 36, ""), "End": ("End", 35, ""), "Delete": ("Delete", 46, ""),
    "a": ("KeyA", 65, "a"),
}
SHIFT, CONTROL = 8, 2


class Failed(Exception):
    pass


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return None


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="page-check-")
        to_child, self.write_end = os.pipe()
        self.read_end, from_child = os.pipe()

        def wire():  # the protocol's pipes are descriptors 3 and 4
            a, b = os.dup(to_child), os.dup(from_child)
            os.dup2(a, 3)
            os.dup2(b, 4)
            os.setsid()

        self.process = subprocess.Popen(
            [find_chromium(), "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu",
             "--user-data-dir=" + self.folder, "--no-first-run", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", "--disable-default-apps", "--hide-scrollbars", "--lang=en-GB", "--mute-audio",
             "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=wire, close_fds=False)
        os.close(to_child)
        os.close(from_child)
        self.buffer, self.last, self.events, self.answers = b"", 0, [], {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close")
            self.process.wait(5)
        except (Failed, subprocess.TimeoutExpired, OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def pump(self, seconds):
        """Reads what comes within so many seconds; false when nothing did."""
        if not select.select([self.read_end], [], [], max(0, seconds))[0]:
            return False
        data = os.read(self.read_end, 1 << 20)
        if not data:
            raise Failed("Chromium has ended")
        self.buffer += data
        *whole, self.buffer = self.buffer.split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)
        return True

    def tell(self, method, session=None, **params):
        """Sends and waits for nothing."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")

    def send(self, method, session=None, timeout=60, **params):
        self.tell(method, session, **params)
        end = time.monotonic() + timeout
        while self.last not in self.answers:
            if not self.pump(end - time.monotonic()) and time.monotonic() > end:
                raise Failed(f"no answer to {method}")
        answer = self.answers.pop(self.last)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url, width, height, **more):
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], url, width, height, **more)
        page.target = target
        return page


class Page:
    def __init__(self, browser, session, url, width, height, dark=False, calm=False, touch=False):
        self.browser, self.session, self.requests, self.trouble = browser, session, [], []
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility", "DOM"):
            self.do(domain + ".enable")
        self.size(width, height, touch)
        self.media(dark, calm)
        origin = url[:url.index("/", 8)]
        browser.send("Browser.grantPermissions", origin=origin, permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        self.do("Page.navigate", url=url)
        self.until("document.readyState === 'complete'", "the page is loaded")

    def close(self, back_to):
        """Closes it; a page that is not in front draws and counts time seldom, so another one comes there."""
        self.browser.send("Target.closeTarget", targetId=self.target)
        back_to.do("Page.bringToFront")

    def do(self, method, **params):
        result = self.browser.send(method, self.session, **params)
        self.read_events()
        return result

    def read_events(self):
        mine = [e for e in self.browser.events if e.get("sessionId") == self.session]
        self.browser.events = [e for e in self.browser.events if e.get("sessionId") != self.session]
        for event in mine:
            kind, p = event["method"], event["params"]
            if kind == "Network.requestWillBeSent":
                self.requests.append(p["request"]["url"])
            elif kind == "Runtime.exceptionThrown":
                d = p["exceptionDetails"]
                self.trouble.append((d.get("exception") or {}).get("description") or d["text"])
            elif kind == "Log.entryAdded" and p["entry"]["level"] == "error":
                self.trouble.append(p["entry"]["text"] + " " + p["entry"].get("url", ""))
            elif kind == "Page.javascriptDialogOpening":
                self.browser.send("Page.handleJavaScriptDialog", self.session, accept=True)

    def size(self, width, height, touch=False):
        self.width = width
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.do("Emulation.setTouchEmulationEnabled", enabled=touch)

    def media(self, dark, calm=False):
        self.do("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}])

    def js(self, text):
        answer = self.do("Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in answer:
            d = answer["exceptionDetails"]
            raise Failed(f"{text[:120]}: {(d.get('exception') or {}).get('description') or d['text']}")
        return answer["result"].get("value")

    def until(self, text, what, seconds=20):
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                last = self.js(text)
            except Failed as e:  # the page may be under way to another
                last = e
            if last not in (None, False, 0, "") and not isinstance(last, Failed):
                return last
            self.browser.pump(0.1)
        raise Failed(f"not within {seconds} s: {what} (last: {last})")

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.browser.pump(end - time.monotonic())
        self.read_events()

    # ---- input ------------------------------------------------------------------------------------------------

    def middle(self, selector):
        """Where an element is, scrolled into view; its middle must be it, or within it, or what covers it is named."""
        return self.js("""(() => {
            const node = document.querySelector(%s);
            if (!node) throw new Error('nothing is ' + %s);
            node.scrollIntoView({block: 'center', inline: 'nearest'});
            const box = node.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2, top = document.elementFromPoint(x, y);
            if (!box.width) throw new Error(%s + ' is not shown');
            if (!top || !(node.contains(top) || top.contains(node)))
                throw new Error(%s + ' is covered by ' + (top ? top.outerHTML.slice(0, 80) : 'nothing'));
            return [x, y, box.width, box.height, box.x, box.y];
        })()""" % ((json.dumps(selector),) * 4))

    def mouse(self, kind, x, y, **more):
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=0 if kind == "mouseReleased" else 1,
                clickCount=1, **more)

    def click(self, selector):
        x, y = self.middle(selector)[:2]
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def drag(self, selector, dx, dy=0):
        x, y = self.middle(selector)[:2]
        self.mouse("mousePressed", x, y)
        for i in range(1, 6):
            self.mouse("mouseMoved", x + dx * i / 5, y + dy * i / 5)
        self.mouse("mouseReleased", x + dx, y + dy)

    def touch_drag(self, selector, dx):
        x, y = self.middle(selector)[:2]
        for i in range(7):  # answers come only when the page has said whether it takes the gesture, now and then never
            kind = "touchStart" if i == 0 else "touchEnd" if i == 6 else "touchMove"
            self.browser.tell("Input.dispatchTouchEvent", self.session, type=kind,
                              touchPoints=[] if i == 6 else [{"x": x + dx * i / 5, "y": y}])
            self.pause(0.05)

    def drop(self, selector, files, at=0.5):
        """Files from outside onto an element, at a share of its width."""
        _, y, width, _, left, _ = self.middle(selector)
        data = {"items": [], "files": files, "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.do("Input.dispatchDragEvent", type=kind, x=left + width * at, y=y, data=data)

    def key(self, name, modifiers=0, times=1):
        code, number, text = KEYS[name]
        for _ in range(times):
            self.do("Input.dispatchKeyEvent", type="keyDown" if text and not modifiers & CONTROL else "rawKeyDown", key=name, code=code,
                    windowsVirtualKeyCode=number, modifiers=modifiers, **({"text": text} if text and not modifiers & CONTROL else {}))
            self.do("Input.dispatchKeyEvent", type="keyUp", key=name, code=code, windowsVirtualKeyCode=number, modifiers=modifiers)

    def type(self, text):
        self.do("Input.insertText", text=text)

    def enter(self, selector, text):
        """Puts text into a field in place of what is in it."""
        self.js("document.querySelector(%s).closest('details')?.setAttribute('open', '')" % json.dumps(selector))
        self.click(selector)
        self.key("a", CONTROL)
        if text:
            self.type(text)
        else:
            self.key("Delete")

    # ---- looking ------------------------------------------------------------------------------------------------

    def shot(self, path, whole=False):
        self.pause(0.3)
        data = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def tree(self):
        """What those who listen are told: [{role, name}], as Chromium computes it."""
        nodes = self.do("Accessibility.getFullAXTree")["nodes"]
        return [{"role": n["role"]["value"], "name": (n.get("name") or {}).get("value", ""), "dom": n.get("backendDOMNodeId"),
                 "value": (n.get("value") or {}).get("value")}
                for n in nodes if not n.get("ignored") and "role" in n]
