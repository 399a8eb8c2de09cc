/* The gateway's own page. For old tablets, too: no modules, no arrow functions, no fetch. Nothing that is typed is lost
   when the page draws itself anew: each part is drawn only when what it says has changed, and drafts are kept apart. */
(function () {
  "use strict";
  var WORDS = {
    en: {
      title: "Gate: the gateway's own page", other: "中文", soundOn: "Sound: touch to switch on", soundIs: "Sound is on",
      cut: "No connection to the core since {0}", start: "No connection to the core yet, since {0} ago",
      cutHint: "{0} readings kept here. Decisions are kept here too and go to the core by themselves when the connection is back.",
      on: "Connected to the core", onHint: "Decide on the guard's page; this page goes on when the connection is cut.",
      away: "The gateway does not answer since {0}: what is shown is old",
      guard: "Guard", pin: "PIN", signIn: "Sign in", signedIn: "{0} decides here", leave: "Change guard",
      noGuards: "No guards are known here: ask the administrator for the guards' file.",
      nobody: "Nobody is stopped", fever: "Fever: stop this person", undecided: "Nobody has decided about this person yet",
      limit: "limit {0} °C", ago: "{0} ago", again: "Measure again", asked: "Time left to measure: {0}", late: "The time is over: measure or decide now",
      second: "Second temperature, °C", method: "How", enter: "Enter", measured: "Second measurement: {0} °C, {1}",
      normal: "normal", high: "still too high", range: "Type a temperature between 30 and 45",
      reason: "Reason", reasons: ["Second measurement normal", "Second measurement too high", "Sent to the clinic"],
      admit: "Admit", refuse: "Refuse", refer: "Refer to a doctor", sure: "Yes: {0}", needReason: "A decision needs a reason", needGuard: "Sign in first, above",
      lanes: "Lanes", none: "no reading since the start", alarms: "Other local alarms", decided: "Decided here",
      kept: "kept here, not yet at the core", sent: "at the core", wrongPin: "Name or PIN is wrong", wait: "Too many tries: {0}",
      gone: "Somebody has decided already, or it is over", failed: "Not kept: {0}. Try again.", signAgain: "Sign in again",
      methods: {ear: "ear", forehead: "forehead", armpit: "armpit", mouth: "mouth", other: "other", "same-passage": "by the scanner"}
    },
    zh: {
      title: "出入口：网关本地页面", other: "English", soundOn: "声音：点按开启", soundIs: "声音已开启",
      cut: "自 {0} 起与中心断开", start: "尚未连上中心，已 {0}",
      cutHint: "本机已保存 {0} 条读数。处置决定同样保存在本机，网络恢复后自动上传中心。",
      on: "已连接中心", onHint: "请在“出入口”页面处置；断网时本页面继续可用。",
      away: "自 {0} 起网关无应答：所示内容已过时",
      guard: "保安", pin: "PIN 码", signIn: "登录", signedIn: "{0} 在此处置", leave: "更换保安",
      noGuards: "本机没有保安名单：请向管理员索取名单文件。",
      nobody: "无人被拦下", fever: "发热：请拦下此人", undecided: "此人尚未处置",
      limit: "限值 {0} °C", ago: "{0}前", again: "复测", asked: "复测剩余时间：{0}", late: "时间已到：请立即复测或处置",
      second: "复测体温，°C", method: "方式", enter: "录入", measured: "复测：{0} °C，{1}",
      normal: "正常", high: "仍偏高", range: "请输入 30 至 45 之间的体温",
      reason: "原因", reasons: ["复测正常", "复测仍偏高", "已送医务点"],
      admit: "放行", refuse: "劝返", refer: "送医务点", sure: "确认{0}", needReason: "处置须填写原因", needGuard: "请先在上方登录",
      lanes: "通道", none: "启动以来无读数", alarms: "其他本地报警", decided: "本机处置记录",
      kept: "已存本机，尚未到中心", sent: "已到中心", wrongPin: "姓名或 PIN 码错误", wait: "尝试次数过多：{0}",
      gone: "已有人处置，或已结束", failed: "未能保存：{0}。请重试。", signAgain: "请重新登录",
      methods: {ear: "耳温", forehead: "额温", armpit: "腋温", mouth: "口温", other: "其他", "same-passage": "通道扫描仪"}
    }
  };
  var state = null, heard = Date.now(), language = remembered(), token = "", guard = "", drafts = {}, said = {}, armed = "", drawn = {}, sound = null;

  function remembered() { try { return localStorage.getItem("gatehouse.language"); } catch (e) { return null; } }
  function words() { return WORDS[language || (state && state.language) || "zh"]; }
  function text(s) { return String(s).replace(/[&<>"']/g, function (c) { return "&#" + c.charCodeAt(0) + ";"; }); }
  function fill(s) { var a = arguments; return s.replace(/\{(\d)\}/g, function (_, n) { return a[+n + 1]; }); }
  function two(n) { return (n < 10 ? "0" : "") + n; }
  function clock(ms) { var d = new Date(ms); return two(d.getHours()) + ":" + two(d.getMinutes()); }
  function lasting(s) {
    s = Math.max(0, Math.floor(s));
    return s < 3600 ? Math.floor(s / 60) + ":" + two(s % 60) : Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  }
  function lane(device) {
    var names = state.names[device] || {};
    return names[words() === WORDS.en ? "en" : "zh"] || names.zh || names.en || device;
  }
  function degrees(v) { return v === null ? "–" : v.toFixed(1); }
  function draft(id) { return drafts[id] || (drafts[id] = {value: "", method: "ear", note: ""}); }

  function draw(id, html) {
    if (drawn[id] === html) return;
    drawn[id] = html;
    var active = document.activeElement, name = active && active.id, at = active && active.selectionStart;
    document.getElementById(id).innerHTML = html;
    var again = name && document.getElementById(name);
    if (again && again !== active) { again.focus(); try { again.setSelectionRange(at, at); } catch (e) { /* a select has none */ } }
  }
  function tick(key, value) {
    var found = document.querySelectorAll('[data-tick="' + key + '"]');
    for (var i = 0; i < found.length; i++) if (found[i].textContent !== value) found[i].textContent = value;
  }
  function button(act, kind, label, id, more) {
    return '<button type="button" class="' + kind + '" data-act="' + act + '" data-id="' + text(id || "") + '" data-more="' + text(more || "") + '">' + text(label) + "</button>";
  }

  function drawAll() {
    var w = words();
    document.documentElement.lang = w === WORDS.en ? "en" : "zh";
    document.getElementById("title").textContent = w.title;
    document.getElementById("language").textContent = w.other;
    document.getElementById("sound").textContent = sound ? w.soundIs : w.soundOn;
    draw("fault", Date.now() - heard > 6000 ? '<div class="bar fault">' + text(fill(w.away, clock(heard))) + "</div>" : "");
    if (!state) return;
    drawConnection(w); drawSign(w); drawPeople(w); drawLanes(w); drawRest(w);
  }
  function drawConnection(w) {
    if (state.cut_off_ms === null) { draw("connection", '<div class="bar on">' + text(w.on) + "<small>" + text(w.onHint) + "</small></div>"); return; }
    var since = state.is_placed ? fill(w.cut, clock(Date.now() - state.cut_off_s * 1000)) : fill(w.start, lasting(state.cut_off_s));
    draw("connection", '<div class="bar cut"><span data-tick="cut"></span><small data-tick="kept"></small></div>');
    tick("cut", since); tick("kept", fill(w.cutHint, state.readings_kept));
  }
  function drawSign(w) {
    if (guard) { draw("sign", '<div class="box row"><strong class="grow">' + text(fill(w.signedIn, guard)) + "</strong>" + button("leave", "plain", w.leave) + "</div>"); return; }
    if (!state.guards.length) { draw("sign", '<div class="box hot">' + text(w.noGuards) + "</div>"); return; }
    var options = "";
    state.guards.forEach(function (name) { options += "<option>" + text(name) + "</option>"; });
    draw("sign", '<form class="box row" id="signform"><label for="name">' + text(w.guard) + '</label><select id="name" class="grow">' + options +
      '</select><label for="pin">' + text(w.pin) + '</label><input id="pin" class="grow" type="password" inputmode="numeric" autocomplete="off"><button class="go">' +
      text(w.signIn) + '</button><strong class="hot" role="alert">' + text(said.sign || "") + "</strong></form>");
  }
  function drawPeople(w) {
    var shown = state.people.filter(function (p) { return p.is_lit || state.cut_off_ms !== null; });
    if (!shown.length) { draw("people", '<p class="box ok">' + text(w.nobody) + "</p>"); return; }
    var html = "";
    shown.forEach(function (p) {
      var d = draft(p.id), options = "";
      state.methods.forEach(function (m) { options += '<option value="' + m + '"' + (m === d.method ? " selected" : "") + ">" + text(w.methods[m]) + "</option>"; });
      html += '<section class="box person' + (p.is_lit ? "" : " calm") + '"><h3 class="hot">' + text(p.is_lit ? w.fever : w.undecided) +
        '</h3><div class="row"><span class="big">' + degrees(p.value) + ' °C</span><span>' + text(lane(p.device)) + "<br>" +
        '<span class="soft">' + (p.limit === null ? "" : text(fill(w.limit, degrees(p.limit))) + " · ") + '<span data-tick="since-' + p.id + '"></span></span></span></div>';
      if (p.measured !== null) {
        var high = p.limit !== null && p.measured >= p.limit;
        html += '<p class="' + (high ? "hot" : "ok") + '">' + text(fill(w.measured, degrees(p.measured), w.methods[p.method] || p.method)) + " · " + text(high ? w.high : w.normal) + "</p>";
      } else if (p.asked_s !== null) html += '<p role="timer"><strong data-tick="asked-' + p.id + '"></strong></p>';
      html += '<div class="row">' + button("ask", "go", w.again, p.id) +
        '<input class="grow" id="value-' + p.id + '" data-draft="value" data-id="' + p.id + '" inputmode="decimal" autocomplete="off" aria-label="' + text(w.second) + '" placeholder="' + text(w.second) + '" value="' + text(d.value) + '">' +
        '<select id="method-' + p.id + '" data-draft="method" data-id="' + p.id + '" aria-label="' + text(w.method) + '">' + options + "</select>" + button("measure", "", w.enter, p.id) + "</div>" +
        '<label for="note-' + p.id + '">' + text(w.reason) + '</label><div class="row">';
      w.reasons.forEach(function (r) { html += button("reason", "plain", r, p.id, r); });
      html += '</div><textarea id="note-' + p.id + '" data-draft="note" data-id="' + p.id + '" maxlength="2000">' + text(d.note) + '</textarea><div class="row">';
      [["admit", "yes"], ["refuse", "no"], ["refer", "refer"]].forEach(function (each) {
        var key = p.id + each[0];
        html += button(armed === key ? "decide" : "arm", each[1] + " grow", armed === key ? fill(w.sure, w[each[0]]) : w[each[0]], p.id, each[0]);
      });
      html += '</div><strong class="hot" role="alert">' + text(said[p.id] || "") + "</strong></section>";
    });
    draw("people", html);
    shown.forEach(function (p) {
      tick("since-" + p.id, fill(w.ago, lasting(p.since_s)));
      if (p.asked_s !== null) tick("asked-" + p.id, p.asked_s < 180 ? fill(w.asked, lasting(180 - p.asked_s)) : w.late);
    });
  }
  function drawLanes(w) {
    var html = "<h2>" + text(w.lanes) + '</h2><div class="lanes">';
    state.lanes.forEach(function (l) {
      var hot = l.value !== null && l.value >= l.limit;
      html += '<div class="box"><strong>' + text(lane(l.device)) + '</strong><div class="big' + (hot ? " hot" : "") + '">' + degrees(l.value) + " °C</div>" +
        '<span class="soft">' + text(fill(w.limit, degrees(l.limit))) + ' · <span data-tick="lane-' + text(l.device) + '"></span></span></div>';
    });
    draw("lanes", html + "</div>");
    state.lanes.forEach(function (l) { tick("lane-" + l.device, l.age_s === null ? w.none : fill(w.ago, lasting(l.age_s))); });
  }
  function drawRest(w) {
    var html = "";
    state.alarms.forEach(function (a, n) { html += '<p class="box hot">' + text(a.device) + " · " + text(a.rule) + ' · <span data-tick="alarm-' + n + '"></span></p>'; });
    draw("alarms", html && "<h2>" + text(w.alarms) + "</h2>" + html);
    state.alarms.forEach(function (a, n) { tick("alarm-" + n, fill(w.ago, lasting(a.since_s))); });
    html = "";
    state.decided.forEach(function (d, n) {
      html += '<p class="box"><strong>' + text(w[d.disposition]) + "</strong> · " + text(lane(d.device)) + " · " + degrees(d.value) + " °C · " + text(d.guard) +
        ' · <span data-tick="decided-' + n + '"></span><br><span class="' + (d.is_sent ? "ok" : "soft") + '">' + text(d.is_sent ? w.sent : w.kept) + "</span></p>";
    });
    draw("decided", html && "<h2>" + text(w.decided) + "</h2>" + html);
    state.decided.forEach(function (d, n) { tick("decided-" + n, fill(w.ago, lasting(d.ago_s))); });
  }

  function ask(method, path, body, done) {
    var request = new XMLHttpRequest();
    request.open(method, path);
    request.timeout = 10000;
    if (body) request.setRequestHeader("Content-Type", "application/json");
    request.onloadend = function () {
      var answer = null;
      try { answer = JSON.parse(request.responseText); } catch (e) { /* it went away */ }
      done(request.status, answer || {detail: ""});
    };
    request.send(body ? JSON.stringify(body) : null);
  }
  function look() {
    ask("GET", "state", null, function (status, answer) {
      if (status === 200) { state = answer; heard = Date.now(); }
      drawAll();
    });
  }
  function act(path, id, body) {
    var w = words();
    if (!token) { said[id] = w.needGuard; drawAll(); return; }
    body.token = token; body.alarm = id; said[id] = "";
    ask("POST", path, body, function (status, answer) {
      armed = "";
      if (status === 401) { token = guard = ""; said[id] = w.signAgain; }
      else if (status === 409) said[id] = w.gone;
      else if (status !== 200) said[id] = fill(w.failed, answer.detail);
      look();
    });
  }
  var ACTS = {
    leave: function () { token = guard = ""; drawAll(); },
    ask: function (id) { act("ask", id, {}); },
    measure: function (id) {
      var value = Number(draft(id).value.replace(",", "."));
      if (!(value >= 30 && value <= 45)) { said[id] = words().range; drawAll(); return; }
      act("measure", id, {value: value, method: draft(id).method});
    },
    reason: function (id, more) { draft(id).note = more; drawAll(); },
    arm: function (id, more) {
      said[id] = !token ? words().needGuard : draft(id).note.trim() ? "" : words().needReason;
      armed = said[id] ? "" : id + more; drawAll();
    },
    decide: function (id, more) { act("decide", id, {disposition: more, note: draft(id).note}); }
  };
  document.addEventListener("click", function (event) {
    var at = event.target;
    if (at.id === "language") {
      language = words() === WORDS.en ? "zh" : "en";
      try { localStorage.setItem("gatehouse.language", language); } catch (e) { /* then it is asked again next time */ }
      drawAll();
    } else if (at.id === "sound") { switchSound(); drawAll(); }
    else if (at.getAttribute && ACTS[at.getAttribute("data-act")]) ACTS[at.getAttribute("data-act")](at.getAttribute("data-id"), at.getAttribute("data-more"));
  });
  document.addEventListener("input", keep);
  document.addEventListener("change", keep);
  function keep(event) {
    var what = event.target.getAttribute("data-draft");
    if (what) draft(event.target.getAttribute("data-id"))[what] = event.target.value;
  }
  document.addEventListener("submit", function (event) {
    event.preventDefault();
    var w = words(), pin = document.getElementById("pin");
    ask("POST", "sign-in", {guard: document.getElementById("name").value, pin: pin.value}, function (status, answer) {
      pin.value = "";
      said.sign = status === 200 ? "" : status === 401 ? w.wrongPin : status === 429 ? fill(w.wait, answer.detail) : fill(w.failed, answer.detail);
      if (status === 200) { token = answer.token; guard = answer.guard; said = {}; }
      drawAll();
    });
  });
  function switchSound() {
    if (sound) { sound.close(); sound = null; return; }
    var Context = window.AudioContext || window.webkitAudioContext;
    if (Context) { sound = new Context(); tone(0.1); }
  }
  function tone(seconds) {
    var from = sound.createOscillator(), loud = sound.createGain();
    from.frequency.value = 880; loud.gain.value = 0.3;
    from.connect(loud); loud.connect(sound.destination);
    from.start(); from.stop(sound.currentTime + seconds);
  }
  setInterval(function () {
    if (sound && state && state.people.some(function (p) { return p.is_lit && p.asked_s === null; })) tone(0.4);
  }, 1500);
  setInterval(look, 1000);
  look();
})();
