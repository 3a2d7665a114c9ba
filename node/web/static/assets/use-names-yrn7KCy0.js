import{a as e,n as t}from"./jsx-runtime-Wy9s6hX0.js";import{d as n}from"./index-BwlAHRNS.js";var r=e(t(),1);function i(){let e=n().map(e=>`${e.id} ${e.name}`).join(`
`);return(0,r.useMemo)(()=>new Map(e.split(`
`).map(e=>{let[t=``,...n]=e.split(` `);return[t,n.join(` `)]})),[e])}export{i as t};