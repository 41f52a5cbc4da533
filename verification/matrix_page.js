const rows=[...document.querySelectorAll('tr[data-id]')],q=document.getElementById('q'),
v=document.getElementById('verdict'),t=document.getElementById('type'),c=document.getElementById('class'),
n=document.getElementById('count');
function apply(){const words=q.value.toLowerCase().split(/\s+/).filter(Boolean);let shown=0;
for(const r of rows){const d=r.dataset;const ok=(!v.value||d.verdict===v.value)&&(!t.value||d.type===t.value)
&&(!c.value||d.class===c.value)&&words.every(w=>r.textContent.toLowerCase().includes(w));
r.hidden=!ok;if(ok)shown++}n.textContent=shown+' of '+rows.length+' items'}
for(const e of [q,v,t,c])e.addEventListener('input',apply);
function reveal(){const r=document.getElementById(location.hash.slice(1));
if(r&&r.hidden){q.value='';v.value='';t.value='';c.value='';apply();r.scrollIntoView()}}
addEventListener('hashchange',reveal);apply();reveal();
