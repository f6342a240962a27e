(() => {
  const box = document.getElementById('filter'), said = document.getElementById('found')
  if (!box) return
  const rows = [...document.querySelectorAll('#models tbody tr')].map(r => [r, r.textContent.toLowerCase()])
  const show = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean)
    let n = 0
    for (const [r, text] of rows) { r.hidden = !words.every(w => text.includes(w)); n += !r.hidden }
    said.textContent = words.length ? `${n} of ${rows.length} models` : ''
  }
  document.getElementById('finder').hidden = false
  document.getElementById('finder').addEventListener('submit', e => e.preventDefault())
  box.addEventListener('input', show)
  addEventListener('pageshow', show)
})()
